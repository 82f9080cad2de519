// Loops on several threads. Not OpenMP's, whose threads wait for each other by spinning, also for
// those that are not scheduled: beside a decoder, an encoder or another model on the same cores
// each loop then takes milliseconds instead of microseconds. Here whoever is free takes the next
// part, the caller among them, so that nobody waits for a part that was not begun.
#pragma once

#include <cstdint>
#include <functional>

namespace moondream {

// How many threads a loop that the calling thread begins may take, itself included; 1 at first.
// Thread-safety: safe; each thread has its own number.
int loop_threads();

// count: >= 1. Starts the threads, which all loops of the process share, where there are fewer.
// Throws Error{kFailed} if the system has no thread left. Thread-safety: as above.
void set_loop_threads(int count);

// Calls body(first, last) for parts that together are `begin` to before `end`, of at least `grain`
// (>= 1) things each but for the last, on the calling thread and on others, at the same time;
// returns once all are done. A loop within a part runs on that part's thread alone. What a part
// throws is thrown here; parts that were not begun by then are left out.
// Thread-safety: safe; loops of several threads share the helpers.
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain,
                  const std::function<void(std::int64_t first, std::int64_t last)> &body);

}  // namespace moondream
