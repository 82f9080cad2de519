"""Says what failed in a run of `meson test` and ends with `N passed, N failed, N skipped`.

Usage: count_results.py TESTLOG.json STATUS [SUITE], with the log that it left and its exit status.
Shows all that the programs of the suite printed, too. Exits with 1 unless something ran and nothing
failed.

The numbers are of test cases. Meson counts programs, and its JUnit log takes one that ran out of
time for a success, so the cases are read from what the programs printed. A program without cases is
one by itself; one that failed without a failed case (it crashed, or ran out of time) is one failure.
"""

import json
import pathlib
import re
import sys

CASE_END = re.compile(r"\[ *(OK|FAILED|SKIPPED) *\] \S+.* \(\d+ ms\)$", re.MULTILINE)
FAILED_CASE = re.compile(
    r"^\[ RUN +\] .*\n(?:(?!\[ RUN).*\n)*?.*\[  FAILED  \] \S+.* \(\d+ ms\)$", re.MULTILINE
)


def succeeded(program):
    return program["result"] in ("OK", "SKIP")


def count_cases(program):
    """Returns how many cases of one entry of the log passed, failed and were skipped."""
    ends = CASE_END.findall(program.get("stdout", ""))
    passed, failed, skipped = (ends.count(end) for end in ("OK", "FAILED", "SKIPPED"))
    if not succeeded(program):
        failed = max(1, failed)
    elif not ends:
        passed, skipped = (1, 0) if program["result"] == "OK" else (0, 1)
    return passed, failed, skipped


def show_failure(program):
    """Prints the failed cases of a program, or else how it ended."""
    print(f"\n---- {program['name']}: {program['result']}, status {program['returncode']}")
    failed_cases = FAILED_CASE.findall(program.get("stdout", ""))
    for case in failed_cases:
        print(case)
    if not failed_cases:
        print(*program.get("stdout", "").splitlines()[-20:], sep="\n")
        print(*program.get("stderr", "").splitlines()[-20:], sep="\n")


def main():
    log, status, suites = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    programs = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for program in programs:
        if any(f":{suite} " in program["name"] for suite in suites):
            print(program.get("stdout", ""))
        elif not succeeded(program):
            show_failure(program)
    passed, failed, skipped = (sum(counts) for counts in zip((0, 0, 0), *map(count_cases, programs)))
    if failed == 0 and (passed == 0 or status != 0):
        print("No test ran." if passed == 0 else f"meson test ended with status {status}.")
        failed = 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


sys.exit(main())
