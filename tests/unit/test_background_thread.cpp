// Threads that may be left behind.

#include "background_thread.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <iostream>
#include <string>

#include "gate.h"

namespace moondream {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

steady_clock::time_point soon() { return steady_clock::now() + milliseconds(50); }
steady_clock::time_point late() { return steady_clock::now() + kTestPatience; }

TEST(BackgroundThread, HasEndedOnceItsBodyAndThreadLocalsAreDestroyed) {
  struct Opens {
    Gate gate;
    ~Opens() { gate.open(); }
  };
  Gate body_freed, thread_local_freed;
  const BackgroundThread thread("test", [owned = std::make_shared<Opens>(Opens{}),
                                         thread_local_freed, body_freed](const std::stop_token &) {
    owned->gate = body_freed;
    thread_local Opens local;
    local.gate = thread_local_freed;
  });
  ASSERT_TRUE(thread.wait_until(late()));
  EXPECT_EQ(body_freed.count(), 1u);
  EXPECT_EQ(thread_local_freed.count(), 1u);
}

TEST(BackgroundThread, HasItsName) {
  std::string name;
  const BackgroundThread thread("a-name", [&](const std::stop_token &) {
    std::array<char, 16> buffer{};
    pthread_getname_np(pthread_self(), buffer.data(), buffer.size());
    name = buffer.data();
  });
  ASSERT_TRUE(thread.wait_until(late()));
  EXPECT_EQ(name, "a-name");
}

TEST(BackgroundThread, WaitingForOneThatHangsEndsAtTheDeadline) {
  Gate gate;
  const BackgroundThread thread("test", [gate](const std::stop_token &) { (void)gate.wait(); });
  const auto deadline = soon();
  EXPECT_FALSE(thread.wait_until(deadline));
  EXPECT_GE(steady_clock::now(), deadline);
  gate.open();
  EXPECT_TRUE(thread.wait_until(late()));
}

TEST(BackgroundThread, DoesNotWaitForItself) {
  Gate have_thread;
  std::unique_ptr<BackgroundThread> thread;
  bool ended = true;
  thread = std::make_unique<BackgroundThread>("test", [&](const std::stop_token &) {
    if (have_thread.wait()) ended = thread->wait_until(late());
  });
  have_thread.open();
  // At once: it would wait as long as this does.
  ASSERT_TRUE(thread->wait_until(late()));
  EXPECT_FALSE(ended);
}

TEST(BackgroundThread, IsAskedToStopWhenItsHandleIsDroppedAndGoesOn) {
  Gate stopped, gate, ended;
  {
    const BackgroundThread thread("test", [=](const std::stop_token &stop) mutable {
      const std::stop_callback on_stop(stop, [&] { stopped.open(); });
      if (gate.wait()) ended.open();
    });
  }
  EXPECT_TRUE(stopped.wait());
  EXPECT_EQ(ended.count(), 0u);
  gate.open();
  EXPECT_TRUE(ended.wait());
}

TEST(BackgroundThread, AllAreStoppedAndAwaitedTogetherButNotForEver) {
  Gate gate, stopped;
  const auto hang = [=](const std::stop_token &stop) mutable {
    const std::stop_callback on_stop(stop, [&] { stopped.open(); });
    (void)gate.wait();
  };
  const BackgroundThread first("test", hang), second("test", hang);
  // One that asks for it does not wait for itself.
  bool all = true;
  const BackgroundThread asking(
      "test", [&](const std::stop_token &) { all = stop_background_threads(steady_clock::now()); });
  ASSERT_TRUE(stopped.wait(2));
  ASSERT_TRUE(asking.wait_until(late()));
  EXPECT_FALSE(all);
  EXPECT_FALSE(stop_background_threads(soon()));
  gate.open();
  EXPECT_TRUE(stop_background_threads(late()));
}

}  // namespace
}  // namespace moondream
