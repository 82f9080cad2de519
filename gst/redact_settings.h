// What a moondreamredact was told to do.
#pragma once

#include <gst/gst.h>

#include <optional>
#include <string>
#include <vector>

#include "redact_region.h"
#include "types.h"

namespace moondream::redact {

enum class Style { kSolid, kPixelate, kBlur };

// What happens to a frame of which not enough is known.
enum class OnMissing { kCover, kDrop, kError, kPass };

// Where regions come from; bits.
enum Source : guint { kFromMoondream = 1, kFromRoi = 2, kFromAnalytics = 4 };

#ifdef HAVE_ANALYTICS
constexpr guint kEverySource = kFromMoondream | kFromRoi | kFromAnalytics;
#else
constexpr guint kEverySource = kFromMoondream | kFromRoi;
#endif

// The defaults are the element's.
struct Settings {
  Style style = Style::kSolid;
  guint colour = 0x000000;  // 0xRRGGBB
  Shape shape = Shape::kRectangle;
  double block_size = 0.2;  // of a region's shorter side
  guint min_block = 16;     // pixels

  double margin = 0.1;         // of the box's side, at each end
  guint margin_pixels = 0;     // besides
  double margin_growth = 0.5;  // of the box's side, for each second of age

  std::string labels;          // separated by commas; empty: all
  double min_score = 0;        // objects of lower scores are left alone
  guint min_size = 0;          // pixels; objects that are smaller both ways are left alone
  double point_radius = 0.05;  // of the frame's shorter side; 0: points are left alone
  std::string zones;           // see parse_zones()
  guint source = kFromMoondream;

  OnMissing on_missing = OnMissing::kCover;
  GstClockTime max_age = 2 * GST_SECOND;  // NONE: no limit
  GstClockTime hold_before = 0;
  guint64 max_bytes = guint64{256} << 20;  // of frames that are held

  std::string audit_location;  // empty: none
  bool audit_required = false;
};

// Rectangles in fractions of the frame: "x_min,y_min,x_max,y_max", separated by semicolons, with
// 0 <= min < max <= 1. Nothing if `text` is anything else; none if it is empty.
// Thread-safety: safe.
std::optional<std::vector<Box>> parse_zones(const std::string &text);

}  // namespace moondream::redact
