#include "output_queue.h"

#include <gtest/gtest.h>

#include <thread>

#include "gate.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

QueueItem frame(guint64 offset, std::shared_ptr<const Sample> sample = nullptr, gsize size = 1) {
  BufferPtr buffer(gst_buffer_new_allocate(nullptr, size, nullptr));
  GST_BUFFER_OFFSET(buffer.get()) = offset;
  return {.event = nullptr,
          .frame = {.buffer = std::move(buffer),
                    .sample = std::move(sample),
                    .settings = std::make_shared<const FilterSettings>()}};
}

guint64 take_offset(OutputQueue &queue) {
  QueueItem item;
  if (!queue.take(item)) return G_MAXUINT64;
  queue.done();
  return GST_BUFFER_OFFSET(item.frame.buffer.get());
}

TEST(OutputQueue, ASampleThatFinishesFirstDoesNotOvertake) {
  OutputQueue queue;
  auto first = std::make_shared<Sample>(), second = std::make_shared<Sample>();
  queue.put(frame(1, first));
  queue.put(frame(2, second));
  queue.put(frame(3));
  Gate taken;
  std::vector<guint64> order;
  std::thread downstream([&] {
    for (int i = 0; i < 3; ++i) {
      order.push_back(take_offset(queue));
      taken.open();
    }
  });
  second->finished = true;
  queue.wake();
  EXPECT_FALSE(taken.wait(1, 30ms));
  first->finished = true;
  queue.wake();
  downstream.join();
  EXPECT_EQ(order, (std::vector<guint64>{1, 2, 3}));
}

TEST(OutputQueue, FramesBeyondTheByteLimitWaitForRoom) {
  OutputQueue queue;
  // A single frame always has room.
  EXPECT_EQ(queue.put(frame(1, nullptr, OutputQueue::kMaxBytes + 1)), GST_FLOW_OK);
  Gate put;
  std::thread upstream([&] {
    queue.put(frame(2));
    put.open();
  });
  EXPECT_FALSE(put.wait(1, 30ms));
  // Events have, too.
  EXPECT_EQ(queue.put({.event = EventPtr(gst_event_new_eos()), .frame = {}}), GST_FLOW_OK);
  EXPECT_EQ(take_offset(queue), 1u);
  upstream.join();
  EXPECT_TRUE(put.wait());
}

TEST(OutputQueue, StopEndsAllWaitingWithItsReason) {
  OutputQueue queue;
  auto never = std::make_shared<Sample>();
  queue.put(frame(1, never, OutputQueue::kMaxBytes));
  OutputQueue ahead;
  for (guint64 i = 0; i < OutputQueue::kMinAhead; ++i) ahead.put(frame(i));
  GstFlowReturn put = GST_FLOW_OK, ready = GST_FLOW_OK, drained = GST_FLOW_OK, room = GST_FLOW_OK;
  guint64 taken = 0;
  std::thread a([&] { put = queue.put(frame(2)); });
  std::thread b([&] { ready = queue.wait_until([] { return false; }); });
  std::thread c([&] { drained = queue.wait_until_drained(); });
  std::thread d([&] { taken = take_offset(queue); });
  std::thread e([&] { room = ahead.wait_until_taken(0); });
  queue.stop(GST_FLOW_EOS);
  ahead.stop(GST_FLOW_EOS);
  for (std::thread *thread : {&a, &b, &c, &d, &e}) thread->join();
  EXPECT_EQ(put, GST_FLOW_EOS);
  EXPECT_EQ(ready, GST_FLOW_EOS);
  EXPECT_EQ(drained, GST_FLOW_EOS);
  EXPECT_EQ(room, GST_FLOW_EOS);
  EXPECT_EQ(taken, G_MAXUINT64);
  queue.start();
  EXPECT_EQ(queue.put(frame(3)), GST_FLOW_OK);
  EXPECT_EQ(take_offset(queue), 3u) << "what was in it is gone";
}

TEST(OutputQueue, AClosedQueueStaysClosed) {
  OutputQueue queue;
  queue.close();
  queue.start();
  EXPECT_EQ(queue.put(frame(1)), GST_FLOW_FLUSHING);
  queue.stop(GST_FLOW_ERROR);
  EXPECT_EQ(queue.put(frame(1)), GST_FLOW_FLUSHING);
}

TEST(OutputQueue, IsDrainedWhenTheLastItemIsDone) {
  OutputQueue queue;
  queue.put(frame(1));
  QueueItem item;
  ASSERT_TRUE(queue.take(item));
  Gate drained;
  std::thread waiting([&] {
    queue.wait_until_drained();
    drained.open();
  });
  EXPECT_FALSE(drained.wait(1, 30ms)) << "it is still being pushed";
  queue.done();
  waiting.join();
}

// Whether a frame more would have to wait. If so, takes what is in the queue until it has not to;
// `patience` is how long it may take to notice that.
bool is_held_up(OutputQueue &queue, GstClockTime ahead = 0,
                std::chrono::milliseconds patience = 0ms) {
  Gate taken;
  std::thread upstream([&] {
    EXPECT_EQ(queue.wait_until_taken(ahead), GST_FLOW_OK);
    taken.open();
  });
  const bool waits = !taken.wait(1, 30ms);
  // Nothing is in an empty queue that could be taken.
  std::vector<QueueItem> items;
  for (auto time = 0ms; !taken.wait(1, time) && queue.frames() > 0; time = patience) {
    QueueItem item;
    queue.take(item);
    queue.done();
    items.push_back(std::move(item));
  }
  upstream.join();
  return waits;
}

TEST(OutputQueue, WhatMayLeaveIsHeldUpByTheOneThatTakes) {
  OutputQueue queue;
  for (guint64 i = 1; i < OutputQueue::kMinAhead; ++i) queue.put(frame(i));
  EXPECT_FALSE(is_held_up(queue));
  queue.put(frame(OutputQueue::kMinAhead));
  EXPECT_TRUE(is_held_up(queue, 0, kTestPatience));
  EXPECT_EQ(queue.frames(), OutputQueue::kMinAhead - 1) << "one was taken";
}

TEST(OutputQueue, WhatWaitsForAResultIsNotHeldUp) {
  OutputQueue queue;
  auto sample = std::make_shared<Sample>();
  for (guint64 i = 1; i < OutputQueue::kMinAhead; ++i) queue.put(frame(i));
  queue.put(frame(100, sample));
  for (guint64 i = 101; i < 200; ++i) queue.put(frame(i));
  EXPECT_FALSE(is_held_up(queue));
  sample->finished = true;
  queue.wake();
  EXPECT_TRUE(is_held_up(queue));
}

TEST(OutputQueue, WhatMayLeaveMaySpanTheTimeThatIsAskedFor) {
  const auto fill = [](OutputQueue &queue, int frames, GstClockTime since) {
    for (int i = 0; i < frames; ++i) {
      QueueItem item = frame(static_cast<guint64>(i));
      item.frame.running_time = since + static_cast<GstClockTime>(i) * GST_MSECOND;
      queue.put(std::move(item));
    }
  };
  OutputQueue queue;
  fill(queue, 20, 0);
  EXPECT_FALSE(is_held_up(queue, 20 * GST_MSECOND)) << "19 ms";
  EXPECT_TRUE(is_held_up(queue, 19 * GST_MSECOND));
  EXPECT_FALSE(is_held_up(queue, 19 * GST_MSECOND)) << "one was taken";

  OutputQueue back;
  fill(back, 10, GST_SECOND);
  fill(back, 1, 0);
  EXPECT_TRUE(is_held_up(back, GST_SECOND)) << "times that go back span nothing";

  OutputQueue none;
  for (guint64 i = 0; i < 10; ++i) none.put(frame(i));
  EXPECT_TRUE(is_held_up(none, GST_SECOND)) << "nor do none";
}

// What interpolates waits for the next sample: until then upstream must go on.
TEST(OutputQueue, WhatIsToBeInterpolatedIsHeldUpWhenItsNextSampleIsThere) {
  const auto between = [](guint64 offset) {
    QueueItem item = frame(offset);
    FilterSettings settings;
    settings.propagate = Propagate::kInterpolate;
    settings.prompts = std::make_shared<const PromptList>(PromptList{.prompts = {CaptionPrompt{}}});
    item.frame.settings = std::make_shared<const FilterSettings>(settings);
    return item;
  };
  for (const bool ends : {false, true}) {
    OutputQueue queue;
    for (guint64 i = 0; i < 10; ++i) queue.put(between(i));
    EXPECT_FALSE(is_held_up(queue));
    if (ends) {
      queue.put({.event = EventPtr(gst_event_new_eos()), .frame = {}});
    } else {
      auto next = std::make_shared<Sample>();
      QueueItem item = between(10);
      item.frame.sample = next;
      queue.put(std::move(item));
      EXPECT_FALSE(is_held_up(queue));
      next->finished = true;
      queue.wake();
    }
    EXPECT_TRUE(is_held_up(queue));
  }
}

}  // namespace
}  // namespace moondream
