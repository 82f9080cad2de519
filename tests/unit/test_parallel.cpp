// Loops on several threads.
#include "parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gate.h"

namespace moondream {
namespace {

// The calling thread's number of threads, for as long as this lives.
class Threads {
 public:
  explicit Threads(int count) : before_(loop_threads()) { set_loop_threads(count); }
  ~Threads() { set_loop_threads(before_); }
  Threads(const Threads &) = delete;
  Threads &operator=(const Threads &) = delete;

 private:
  const int before_;
};

TEST(ParallelFor, VisitsEachThingOnceWhateverTheGrainAndTheThreads) {
  for (const int threads : {1, 2, 3, 7}) {
    const Threads some(threads);
    for (const std::int64_t count : {0, 1, 2, 5, 64, 1001}) {
      for (const std::int64_t grain : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> visits(count + 20);
        parallel_for(10, 10 + count, grain, [&](std::int64_t first, std::int64_t last) {
          for (std::int64_t i = first; i < last; ++i) ++visits[i];
        });
        for (std::int64_t i = 0; i < count + 20; ++i) {
          ASSERT_EQ(visits[i], i >= 10 && i < 10 + count ? 1 : 0)
              << threads << " threads, " << count << " things, grain " << grain << ": " << i;
        }
      }
    }
  }
}

TEST(ParallelFor, HasPartsOfAtLeastTheGrainButForTheLast) {
  const Threads some(4);
  std::mutex mutex;
  std::vector<std::pair<std::int64_t, std::int64_t>> parts;
  parallel_for(0, 1000, 150, [&](std::int64_t first, std::int64_t last) {
    const std::lock_guard lock(mutex);
    parts.emplace_back(first, last);
  });
  std::sort(parts.begin(), parts.end());
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    EXPECT_GE(parts[i].second - parts[i].first, 150);
  }
}

TEST(ParallelFor, RunsOnAsManyThreadsAsTheCallerHas) {
  const Threads some(3);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  Gate arrived;
  // Each part waits for the others: only three threads at a time can pass.
  parallel_for(0, 3, 1, [&](std::int64_t, std::int64_t) {
    {
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    }
    arrived.add(1);
    EXPECT_TRUE(arrived.wait(3));
  });
  EXPECT_EQ(seen.size(), 3u);
}

TEST(ParallelFor, OfACallerWithOneThreadStaysOnIt) {
  std::thread([] {
    EXPECT_EQ(loop_threads(), 1) << "a new thread's";
    parallel_for(0, 100, 1, [me = std::this_thread::get_id()](std::int64_t, std::int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), me);
    });
  }).join();
}

TEST(ParallelFor, WithinAPartStaysOnItsThread) {
  const Threads some(2);
  std::atomic<int> inner = 0;
  parallel_for(0, 8, 1, [&](std::int64_t, std::int64_t) {
    const std::thread::id me = std::this_thread::get_id();
    parallel_for(0, 8, 1, [&](std::int64_t first, std::int64_t last) {
      EXPECT_EQ(std::this_thread::get_id(), me);
      inner += static_cast<int>(last - first);
    });
  });
  EXPECT_GT(inner, 8);
}

TEST(ParallelFor, ThrowsWhatAPartThrewAndGoesOnWorking) {
  const Threads some(2);
  for (int thrower = 0; thrower < 4; ++thrower) {
    try {
      parallel_for(0, 4, 1, [&](std::int64_t first, std::int64_t) {
        if (first == thrower) throw std::runtime_error("part " + std::to_string(first));
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error &error) {
      EXPECT_EQ(error.what(), "part " + std::to_string(thrower));
    }
  }
  std::atomic<int> visits = 0;
  parallel_for(0, 4, 1, [&](std::int64_t first, std::int64_t last) {
    visits += static_cast<int>(last - first);
  });
  EXPECT_EQ(visits, 4);
}

TEST(ParallelFor, DoesNotWaitForAHelperThatIsBusyElsewhere) {
  // One loop of another thread holds whatever helper there is until this thread's loop is over.
  Gate over;
  std::atomic<int> held = 0;
  std::thread other([&] {
    const Threads some(2);
    parallel_for(0, 2, 1, [&](std::int64_t, std::int64_t) {
      ++held;
      EXPECT_TRUE(over.wait());
    });
  });
  while (held == 0) std::this_thread::yield();
  {
    const Threads some(2);
    std::atomic<int> visits = 0;
    parallel_for(0, 100, 1, [&](std::int64_t first, std::int64_t last) {
      visits += static_cast<int>(last - first);
    });
    EXPECT_EQ(visits, 100);
  }
  over.open();
  other.join();
}

TEST(ParallelFor, OfManyCallersAtATimeIsComplete) {
  std::vector<std::thread> callers;
  for (int c = 0; c < 8; ++c) {
    callers.emplace_back([] {
      const Threads some(3);
      for (int again = 0; again < 2000; ++again) {
        std::atomic<std::int64_t> sum = 0;
        parallel_for(0, 30, 1, [&](std::int64_t first, std::int64_t last) {
          for (std::int64_t i = first; i < last; ++i) sum += i;
        });
        ASSERT_EQ(sum, 29 * 30 / 2);
      }
    });
  }
  for (std::thread &caller : callers) caller.join();
}

}  // namespace
}  // namespace moondream
