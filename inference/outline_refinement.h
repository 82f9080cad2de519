// An outline made better by looking at its part of the picture again.
// Port of SegmentRefiner of the same file as the head in seg_refiner.h, but that it draws
// outlines itself where that has resvg and potrace do it.
// Thread-safety: all functions are safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "outline.h"
#include "types.h"

namespace moondream {

// Of a square part of a picture, the pixels [side, side, 3] and which of them are the object's as
// far as is known, 0 or 1 [side, side] -> how likely each is, [side, side] in [0, 1].
using MaskRefiner = std::function<std::vector<float>(const std::vector<std::uint8_t> &pixels,
                                                     const std::vector<std::uint8_t> &mask)>;

// Draws the outline, shows its box with a quarter more on each side to `refine`, and traces what
// that found, without specks and holes. Nothing if there is no outline before or after.
std::optional<SegmentResult> refine_outline(const ImageView &image, const SegmentResult &coarse,
                                            int side, const MaskRefiner &refine);

// Fills holes and drops islands of less than 0.15 % of the picture, but never the largest island,
// and closes gaps of up to two pixels.
Mask clean_mask(const Mask &mask);

}  // namespace moondream
