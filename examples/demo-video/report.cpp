// Follows a running pipeline with moondreamfilter, writes down its results and compares them with
// the truth.
#include <gst/gst.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "matching.h"
#include "program.h"
#include "result_message.h"
#include "truth.h"

namespace {

using scenes::Agreement;
using scenes::ResultJson;

constexpr double kMinIou = 0.5;

// One line that is written over on a terminal; on anything else a line for every tenth of the way.
class Progress {
 public:
  explicit Progress(std::uint64_t duration) : duration_(duration) {}
  ~Progress() { finish(); }

  void show(std::uint64_t pts, const std::string &text) {
    const int percent = static_cast<int>(std::min<std::uint64_t>(100, 100 * pts / duration_));
    std::ostringstream line;
    line << std::setw(3) << percent << " %  " << std::fixed << std::setprecision(2)
         << static_cast<double>(pts) / 1e9 << " s  " << text;
    if (terminal_) {
      // Cut to a narrow terminal, or the carriage return would not get to the line's beginning.
      std::cout << '\r' << line.str().substr(0, 79) << "\033[K" << std::flush;
      open_ = true;
    } else if (percent / 10 != shown_) {
      shown_ = percent / 10;
      std::cout << line.str() << std::endl;
    }
  }

  void finish() {
    if (open_) std::cout << std::endl;
    open_ = false;
  }

 private:
  std::uint64_t duration_;  // ns
  const bool terminal_ = isatty(STDOUT_FILENO) != 0;
  bool open_ = false;  // the cursor is behind an unfinished line
  int shown_ = -1;     // last tenth that got its line
};

// Agreement with the truth, label by label.
class Score {
 public:
  Score(const scenes::Truth &truth, const std::vector<std::string> &labels)
      : truth_(truth), labels_(labels), agreement_(labels.size()) {}

  void add(const ResultJson &result) {
    const std::uint64_t pts = result.at("pts");
    const scenes::TrueFrame *frame = truth_.at(pts);
    if (!frame) throw std::runtime_error("no frame has the PTS " + std::to_string(pts));
    const auto found = scenes::objects_of(result);
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      agreement_[i] += scenes::match(scenes::boxes_of(found, labels_[i]),
                                     scenes::boxes_of(frame->objects, labels_[i]), kMinIou);
    }
  }

  void print() const {
    std::cout << "\nAgreement with the known positions, boxes matched at IoU " << kMinIou << ":\n"
              << std::left << std::setw(20) << "" << std::right
              << "existing   found matched  precision  recall  mean IoU\n";
    Agreement all;
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      print_line(labels_[i], agreement_[i]);
      all += agreement_[i];
    }
    print_line("all", all);
  }

 private:
  static void print_line(const std::string &name, const Agreement &agreement) {
    std::cout << std::left << std::setw(20) << name << std::right << std::setw(8)
              << agreement.existing << std::setw(8) << agreement.found << std::setw(8)
              << agreement.matched << std::fixed << std::setprecision(2) << std::setw(11)
              << agreement.precision() << std::setw(8) << agreement.recall() << std::setw(10)
              << agreement.mean_iou() << '\n';
  }

  const scenes::Truth &truth_;
  const std::vector<std::string> &labels_;
  std::vector<Agreement> agreement_;  // of the label at the same position
};

// "3 results: 1x face, 2x star, "A face.", "Yes"", without what was not asked for or found.
std::string describe(int count, const ResultJson &result) {
  std::map<std::string, int> counts;
  for (const auto &object : scenes::objects_of(result)) ++counts[object.label];
  std::vector<std::string> parts;
  for (const auto &[label, number] : counts) parts.push_back(std::to_string(number) + "x " + label);
  // As ASCII JSON strings: whatever the model says stays on this line.
  const auto quote = [&](const ResultJson &text) { parts.push_back(text.dump(-1, ' ', true)); };
  if (result.contains("caption")) quote(result["caption"]);
  for (const ResultJson &answer : result.at("answers")) quote(answer.at("answer"));
  std::string text = std::to_string(count) + (count == 1 ? " result" : " results");
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? ": " : ", ") + parts[i];
  return text;
}

// Returns whether the pipeline ran to its end.
bool follow(const scenes::Truth &truth, const std::vector<std::string> &labels,
            const std::string &results_file) {
  std::ofstream results(results_file);
  if (!results) throw std::runtime_error("cannot write " + results_file);
  Progress progress(truth.duration);
  Score score(truth, labels);
  int count = 0, failures = 0;
  bool ended = false;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.starts_with("ERROR")) {
      // After an error the pipeline may never end, so nothing more is waited for.
      progress.finish();
      std::cerr << line << '\n';
      return false;
    }
    if (line.starts_with("WARNING")) {
      progress.finish();
      std::cerr << line << '\n';
    }
    ended = ended || line.starts_with("Got EOS from element");
    if (const auto result = scenes::parse_result_message(line)) {
      results << result->dump() << '\n';
      if (result->value("status", "") == "failed") {
        ++failures;
        continue;
      }
      score.add(*result);
      progress.show(result->at("pts"), describe(++count, *result));
    }
  }
  progress.finish();
  if (!ended) {
    std::cerr << "The pipeline ended before its video did.\n";
    return false;
  }
  if (!results.flush()) throw std::runtime_error("cannot write " + results_file);
  std::cout << count << " frames analysed";
  if (failures) std::cout << ", " << failures << " more failed";
  std::cout << '\n';
  if (!labels.empty()) score.print();
  return count > 0 && failures == 0;
}

}  // namespace

int main(int argc, char **argv) {
  std::vector<std::string> labels;
  const scenes::Page page{
      .name = "demo-report",
      .summary = "follows a pipeline and compares its results with the truth",
      .operands = "TRUTH.json RESULTS.json",
      .description =
          "Reads what gst-launch-1.0 prints and writes the results of moondreamfilter to "
          "RESULTS.json, one JSON object a line. Fails if the pipeline fails, ends early, or "
          "brings a result for a frame that TRUTH.json does not know.",
      .options = {scenes::list_option(
          "labels", "What to compare, separated by commas. Without it nothing is compared.",
          labels)},
      .examples =
          " gst-launch-1.0 -m ... 2>&1 | demo-report --labels face,star truth.json results.json"};
  return scenes::run_program(page, argc, argv, [&](const scenes::Operands &files) {
    if (files.size() != 2) throw scenes::UsageError("two files must be given");
    gst_init(nullptr, nullptr);
    return follow(scenes::read_truth(files[0]), labels, files[1]);
  });
}
