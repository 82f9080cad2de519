#include "text_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "gate.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

EventPtr new_segment(GstClockTime start) {
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.start = start;
  return EventPtr(gst_event_new_segment(&segment));
}

// Takes all that waits: an event's name, "gap 0-40" or the text of a cue.
std::vector<std::string> drain(TextQueue &queue) {
  queue.put(EventPtr(gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, nullptr)));
  std::vector<std::string> names;
  for (TextQueue::Item item; queue.take(item); queue.done()) {
    if (const auto *event = std::get_if<EventPtr>(&item)) {
      if (GST_EVENT_TYPE(event->get()) == GST_EVENT_CUSTOM_DOWNSTREAM) break;
      names.emplace_back(GST_EVENT_TYPE_NAME(event->get()));
      continue;
    }
    const auto &span = std::get<TextSpan>(item);
    names.push_back(span.is_gap()
                        ? "gap " + std::to_string(span.start) + "-" + std::to_string(span.end)
                        : span.text);
  }
  queue.done();
  return names;
}

using Names = std::vector<std::string>;

TEST(TextQueue, SilenceTakesNoRoom) {
  TextQueue queue;
  queue.start();
  for (guint64 i = 0; i < 10 * TextQueue::kMaxItems; ++i) {
    EXPECT_EQ(queue.put(TextSpan{i, i + 1, {}}), 0u);
  }
  queue.put(TextSpan{20000, 20001, "cue"});
  queue.put(TextSpan{20001, 20002, {}});
  EXPECT_EQ(drain(queue), (Names{"gap 0-10240", "cue", "gap 20001-20002"}));
}

TEST(TextQueue, AConsumerThatIsFarBehindLosesCuesButNoEventInForce) {
  TextQueue queue;
  queue.start();
  queue.put(EventPtr(gst_event_new_stream_start("s")));
  queue.put(new_segment(1));
  queue.put(TextSpan{0, 1, "lost"});
  queue.put(new_segment(2));
  std::size_t dropped = 0;
  for (guint64 i = 0; i < TextQueue::kMaxItems; ++i) {
    dropped += queue.put(TextSpan{i, i + 1, "cue" + std::to_string(i)});
  }
  EXPECT_GE(dropped, 1000u);
  const Names names = drain(queue);
  ASSERT_EQ(names.size(), 2 + TextQueue::kMaxItems + 1 - dropped);
  EXPECT_EQ(names[0], "stream-start");
  EXPECT_EQ(names[1], "segment");
  EXPECT_EQ(names.back(), "cue" + std::to_string(TextQueue::kMaxItems - 1));
}

TEST(TextQueue, EventsAloneDoNotFillItEither) {
  TextQueue queue;
  queue.start();
  for (guint64 i = 0; i < 3 * TextQueue::kMaxItems; ++i) queue.put(new_segment(i));
  EXPECT_LE(drain(queue).size(), TextQueue::kMaxItems);
}

TEST(TextQueue, StoppingWakesWhoWaitsAndGivesBackWhatDid) {
  TextQueue queue;
  queue.start();
  Gate ended;
  std::thread task([&] {
    TextQueue::Item item;
    EXPECT_FALSE(queue.take(item));
    ended.open();
  });
  EXPECT_FALSE(ended.wait(1, 20ms));
  EXPECT_TRUE(queue.stop().empty());
  task.join();
  queue.put(new_segment(0));
  EXPECT_EQ(queue.put(TextSpan{0, 1, "cue"}), 0u);
  EXPECT_TRUE(queue.stop().empty());  // dropped, as it was stopped
  queue.start();
  queue.put(TextSpan{0, 1, "cue"});
  EXPECT_EQ(queue.stop().size(), 1u);
}

TEST(TextQueue, ItIsIdleWhenWhatWasTakenIsDone) {
  TextQueue queue;
  queue.start();
  EXPECT_TRUE(queue.wait_until_idle(0ms));
  queue.put(TextSpan{0, 1, "cue"});
  TextQueue::Item item;
  ASSERT_TRUE(queue.take(item));
  EXPECT_FALSE(queue.wait_until_idle(10ms));
  queue.put(TextSpan{1, 2, "next"});
  queue.done();
  EXPECT_FALSE(queue.wait_until_idle(10ms));
  ASSERT_TRUE(queue.take(item));
  std::thread task([&] { queue.done(); });
  EXPECT_TRUE(queue.wait_until_idle(20s));
  task.join();
}

}  // namespace
}  // namespace moondream
