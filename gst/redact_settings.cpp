#include "redact_settings.h"

#include <cmath>

namespace moondream::redact {
namespace {

// One number and the spaces around it.
bool read_number(const gchar **text, double *value) {
  gchar *rest = nullptr;
  *value = g_ascii_strtod(*text, &rest);
  if (rest == *text || !std::isfinite(*value)) return false;
  while (g_ascii_isspace(*rest)) ++rest;
  *text = rest;
  return true;
}

bool read_zone(const gchar **text, Box *zone) {
  double *const numbers[] = {&zone->x_min, &zone->y_min, &zone->x_max, &zone->y_max};
  for (double *number : numbers) {
    if (number != numbers[0] && *(*text)++ != ',') return false;
    if (!read_number(text, number)) return false;
  }
  return zone->x_min >= 0 && zone->x_min < zone->x_max && zone->x_max <= 1 && zone->y_min >= 0 &&
         zone->y_min < zone->y_max && zone->y_max <= 1;
}

}  // namespace

std::optional<std::vector<Box>> parse_zones(const std::string &text) {
  std::vector<Box> zones;
  const gchar *p = text.c_str();
  while (g_ascii_isspace(*p)) ++p;
  while (*p != '\0') {
    Box zone;
    if (!read_zone(&p, &zone)) return std::nullopt;
    zones.push_back(zone);
    if (*p == ';') {
      ++p;
      while (g_ascii_isspace(*p)) ++p;
    } else if (*p != '\0') {
      return std::nullopt;
    }
  }
  if (p != text.c_str() + text.size()) return std::nullopt;  // a NUL within
  return zones;
}

}  // namespace moondream::redact
