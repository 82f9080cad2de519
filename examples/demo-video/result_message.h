// Results of moondreamfilter as `gst-launch-1.0 -m` prints them, and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scene.h"

namespace scenes {

// One result as gst/analysis_json.h describes it.
using ResultJson = nlohmann::ordered_json;

// Reads a line of output. Nothing if it is not about a result. Throws std::runtime_error if it is,
// but cannot be understood. gst_init() must have been called. Thread-safety: safe.
std::optional<ResultJson> parse_result_message(const std::string &line);

// The objects of a result.
std::vector<LabelledBox> objects_of(const ResultJson &result);

}  // namespace scenes
