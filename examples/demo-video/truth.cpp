#include "truth.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace scenes {

using Json = nlohmann::ordered_json;

const TrueFrame *Truth::at(std::uint64_t pts) const {
  constexpr std::uint64_t kTolerance = 1'000'000;
  const auto after = std::lower_bound(
      frames.begin(), frames.end(), pts,
      [](const TrueFrame &frame, std::uint64_t value) { return frame.pts < value; });
  const TrueFrame *nearest = nullptr;
  std::uint64_t smallest = kTolerance + 1;
  for (auto frame = after == frames.begin() ? after : after - 1;
       frame != frames.end() && frame <= after; ++frame) {
    const std::uint64_t gap = std::max(frame->pts, pts) - std::min(frame->pts, pts);
    if (gap < smallest) {
      smallest = gap;
      nearest = &*frame;
    }
  }
  return nearest;
}

void write_truth(const std::filesystem::path &file, const Truth &truth) {
  Json frames = Json::array();
  for (const TrueFrame &frame : truth.frames) {
    Json objects = Json::array();
    for (const auto &[label, box, id] : frame.objects) {
      objects.push_back({{"label", label},
                         {"x_min", box.x_min},
                         {"y_min", box.y_min},
                         {"x_max", box.x_max},
                         {"y_max", box.y_max},
                         {"id", id}});
    }
    frames.push_back({{"pts", frame.pts}, {"objects", std::move(objects)}});
  }
  const Json json = {{"width", truth.width},
                     {"height", truth.height},
                     {"duration", truth.duration},
                     {"frames", std::move(frames)}};
  std::ofstream stream(file);
  stream << json.dump() << '\n';
  if (!stream.flush()) throw std::runtime_error("cannot write " + file.string());
}

Truth read_truth(const std::filesystem::path &file) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error("cannot read " + file.string());
  try {
    const Json json = Json::parse(stream);
    Truth truth{.width = json.at("width"),
                .height = json.at("height"),
                .duration = json.at("duration"),
                .frames = {}};
    for (const Json &frame : json.at("frames")) {
      TrueFrame &added = truth.frames.emplace_back();
      added.pts = frame.at("pts");
      for (const Json &object : frame.at("objects")) {
        added.objects.push_back({object.at("label"),
                                 {.x_min = object.at("x_min"),
                                  .y_min = object.at("y_min"),
                                  .x_max = object.at("x_max"),
                                  .y_max = object.at("y_max")},
                                 object.at("id")});
      }
    }
    return truth;
  } catch (const Json::exception &error) {
    throw std::runtime_error(file.string() + ": " + error.what());
  }
}

}  // namespace scenes
