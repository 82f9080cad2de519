#include "qos_gate.h"

#include <gtest/gtest.h>

namespace moondream {
namespace {

void observe(QosGate &gate, GstQOSType type, GstClockTimeDiff jitter, GstClockTime timestamp) {
  GstEvent *event = gst_event_new_qos(type, 1, jitter, timestamp);
  gate.observe(event);
  gst_event_unref(event);
}

TEST(QosGate, FramesUpToWhereDownstreamIsAreLate) {
  QosGate gate;
  EXPECT_FALSE(gate.is_late(0));
  observe(gate, GST_QOS_TYPE_UNDERFLOW, 30 * GST_MSECOND, GST_SECOND);
  EXPECT_TRUE(gate.is_late(1030 * GST_MSECOND));
  EXPECT_FALSE(gate.is_late(1030 * GST_MSECOND + 1));
  EXPECT_FALSE(gate.is_late(GST_CLOCK_TIME_NONE)) << "nobody knows";
}

TEST(QosGate, FramesThatCameInTimeMakeLittleLate) {
  QosGate gate;
  observe(gate, GST_QOS_TYPE_OVERFLOW, -20 * GST_MSECOND, GST_SECOND);
  EXPECT_TRUE(gate.is_late(980 * GST_MSECOND));
  EXPECT_FALSE(gate.is_late(981 * GST_MSECOND));
}

TEST(QosGate, AThrottleIsADistanceAndNoLateness) {
  QosGate gate;
  observe(gate, GST_QOS_TYPE_THROTTLE, 200 * GST_MSECOND, GST_SECOND);
  EXPECT_EQ(gate.throttle(), 200 * GST_MSECOND);
  EXPECT_FALSE(gate.is_late(GST_SECOND));
  observe(gate, GST_QOS_TYPE_OVERFLOW, -1, GST_SECOND);
  EXPECT_EQ(gate.throttle(), 0u);
}

TEST(QosGate, AResetForgets) {
  QosGate gate;
  observe(gate, GST_QOS_TYPE_UNDERFLOW, 0, GST_SECOND);
  gate.reset();
  EXPECT_FALSE(gate.is_late(0));
}

}  // namespace
}  // namespace moondream
