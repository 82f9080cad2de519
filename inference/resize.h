// Pillow's resampling, bit for bit.
#pragma once

#include "types.h"

namespace moondream {

// Resizes `image` to width x height pixels (both >= 1) as Pillow's
// Image.resize((width, height), Image.LANCZOS) does for mode "RGB": a horizontal pass, then a
// vertical one, each rounded to 8 bits; the filter widens when the picture shrinks. A picture that
// already has the size is copied.
// Source of the arithmetic: Pillow src/libImaging/Resample.c (precompute_coeffs,
// normalize_coeffs_8bpc, ImagingResampleHorizontal_8bpc, ImagingResampleVertical_8bpc).
// Throws Error{kSettings} if a size is not positive. Thread-safety: safe.
Image resize_lanczos(const ImageView &image, int width, int height);

// The same with Image.BICUBIC, whose parameter is -0.5.
Image resize_bicubic(const ImageView &image, int width, int height);

}  // namespace moondream
