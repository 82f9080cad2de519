// libvips' resampling, as the reference uses it where pyvips is installed.
#pragma once

#include "types.h"

namespace moondream {

// Resizes `image` to width x height pixels (both >= 1) as `vips resize` 8.16 does: an axis that
// shrinks is reduced with a Lanczos filter, after averaging whole pixels where it shrinks to less
// than a quarter; one that grows is interpolated with Catmull-Rom, half an output pixel off, as
// that version is. Equal to libvips to within one step of 255. Source of the arithmetic:
// libvips 8.16 resample/resize.c, reducev.cpp, templates.h, bicubic.cpp. Throws Error{kSettings} if
// a size is not positive. Thread-safety: safe.
Image resize_vips(const ImageView &image, int width, int height);

}  // namespace moondream
