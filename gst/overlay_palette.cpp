#include "overlay_palette.h"

#include <array>
#include <cmath>

namespace moondream::overlay {
namespace {

// Bright enough to stand out from video, and far from each other in hue or lightness.
constexpr std::array<Colour, 12> kPalette = {{
    {0xff, 0x45, 0x3a},  // red
    {0x32, 0xd7, 0x4b},  // green
    {0x2e, 0x8b, 0xff},  // blue
    {0xff, 0xd6, 0x0a},  // yellow
    {0xff, 0x9f, 0x0a},  // orange
    {0xbf, 0x5a, 0xf2},  // purple
    {0x64, 0xd2, 0xff},  // sky
    {0xff, 0x37, 0x95},  // pink
    {0x00, 0xc7, 0xbe},  // teal
    {0xb5, 0xf0, 0x3c},  // lime
    {0xff, 0xb3, 0xc7},  // rose
    {0xc8, 0x96, 0x5a},  // tan
}};

double linear(std::uint8_t value) {
  const double v = value / 255.0;
  return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
}

}  // namespace

Colour label_colour(std::string_view label) {
  // FNV-1a, for std::hash differs between libraries.
  std::uint32_t hash = 2166136261u;
  for (const char c : label) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  // The low bits alone depend on few bits of the text.
  hash ^= hash >> 16;
  return kPalette[hash % kPalette.size()];
}

Colour contrasting(Colour background) {
  const double luminance =
      0.2126 * linear(background.r) + 0.7152 * linear(background.g) + 0.0722 * linear(background.b);
  // The ratios to black, (L + 0.05) / 0.05, and to white, 1.05 / (L + 0.05), are equal at L =
  // 0.179.
  return luminance > 0.179 ? Colour{0, 0, 0} : Colour{255, 255, 255};
}

}  // namespace moondream::overlay
