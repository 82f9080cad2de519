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
  GstFlowReturn put = GST_FLOW_OK, ready = GST_FLOW_OK, drained = GST_FLOW_OK;
  guint64 taken = 0;
  std::thread a([&] { put = queue.put(frame(2)); });
  std::thread b([&] { ready = queue.wait_until([] { return false; }); });
  std::thread c([&] { drained = queue.wait_until_drained(); });
  std::thread d([&] { taken = take_offset(queue); });
  queue.stop(GST_FLOW_EOS);
  for (std::thread *thread : {&a, &b, &c, &d}) thread->join();
  EXPECT_EQ(put, GST_FLOW_EOS);
  EXPECT_EQ(ready, GST_FLOW_EOS);
  EXPECT_EQ(drained, GST_FLOW_EOS);
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

}  // namespace
}  // namespace moondream
