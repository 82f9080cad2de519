#include "golden.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <stdexcept>

#include "safetensors.h"

namespace moondream::golden {
namespace {

using nlohmann::json;

json read_json(const std::filesystem::path &path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return json::parse(file);
}

Image read_picture(const std::filesystem::path &path) {
  const cv::Mat bgr = cv::imread(path.string(), cv::IMREAD_COLOR);
  if (bgr.empty()) throw std::runtime_error("cannot read " + path.string());
  Image image{bgr.cols, bgr.rows, {}};
  image.pixels.reserve(bgr.total() * 3);
  for (int y = 0; y < bgr.rows; ++y) {
    for (int x = 0; x < bgr.cols; ++x) {
      const auto &pixel = bgr.at<cv::Vec3b>(y, x);
      image.pixels.insert(image.pixels.end(), {pixel[2], pixel[1], pixel[0]});
    }
  }
  return image;
}

std::vector<std::variant<Point, Box>> spatial_refs(const json &refs) {
  std::vector<std::variant<Point, Box>> out;
  for (const json &ref : refs) {
    if (ref.size() == 2) {
      out.emplace_back(Point{ref[0], ref[1]});
    } else {
      out.emplace_back(Box{ref[0], ref[1], ref[2], ref[3]});
    }
  }
  return out;
}

// The vectors' own limits, where the result does not tell: see the counts in expected.json.
constexpr int kTextTokens = 16;
constexpr int kSpatialTokens = 8;
constexpr int kTextOnlyTokens = 8;

Case make_case(const std::string &name, const json &expected) {
  Case made{name, {}, {}, expected, expected.value("min_margin", 0.0)};
  made.settings.max_tokens = expected.value("max_tokens", kTextTokens);
  made.settings.max_objects = expected.value("max_objects", made.settings.max_objects);
  const std::string kind = name.substr(0, name.find_first_of(":."));
  const std::string rest = kind.size() < name.size() ? name.substr(kind.size() + 1) : "";
  if (kind == "caption") {
    made.prompt = CaptionPrompt{rest == "short"    ? CaptionLength::kShort
                                : rest == "normal" ? CaptionLength::kNormal
                                                   : CaptionLength::kLong};
  } else if (name == "query.spatial") {
    made.prompt = QueryPrompt{expected["question"], false, spatial_refs(expected["spatial_refs"])};
    made.settings.max_tokens = kSpatialTokens;
  } else if (name == "query.reasoning") {
    made.prompt = QueryPrompt{expected["question"], true, {}};
  } else if (kind == "query") {
    made.prompt = QueryPrompt{rest, false, {}};
  } else if (kind == "detect") {
    made.prompt = DetectPrompt{rest};
  } else if (kind == "point") {
    made.prompt = PointPrompt{rest};
  } else if (kind == "gaze") {
    made.prompt = GazePrompt{{expected["eye"][0], expected["eye"][1]}, false};
  } else {
    throw std::runtime_error("expected.json has a result of unknown kind: " + name);
  }
  return made;
}

}  // namespace

Folder::Folder(const std::filesystem::path &path)
    : path_(std::filesystem::absolute(path).lexically_normal()),
      expected_(read_json(path / "expected.json")) {
  if (path_.filename().empty()) path_ = path_.parent_path();
  for (const json &picture : expected_["pictures"]) {
    const std::filesystem::path file = picture["file"].get<std::string>();
    pictures_.push_back(
        {file.stem().string(), read_picture(path_.parent_path() / "pictures" / file), picture});
  }
  const SafetensorsFile file(path_ / "expected.safetensors");
  for (const auto &[name, entry] : file.tensors()) {
    const auto dtype = entry.dtype == DType::kU8    ? at::kByte
                       : entry.dtype == DType::kF32 ? at::kFloat
                                                    : at::ScalarType::Undefined;
    if (dtype == at::ScalarType::Undefined) {
      throw std::runtime_error(name + " has type " + dtype_name(entry.dtype));
    }
    // The copy is const in effect: from_blob only has a writable form.
    auto *data = const_cast<std::byte *>(file.bytes(entry).data());
    tensors_.emplace(name, at::from_blob(data, entry.shape, dtype).clone());
  }
}

std::vector<std::filesystem::path> Folder::variants() const {
  std::vector<std::filesystem::path> variants;
  for (const auto &entry : std::filesystem::directory_iterator(path_)) {
    if (entry.path().stem() == "lora-demo") variants.push_back(entry.path());
  }
  return variants;
}

std::vector<Picture> Folder::variant_pictures() const {
  std::vector<Picture> pictures;
  const json expected = read_json(path_ / "expected-lora.json");
  for (const json &picture : expected["pictures"]) {
    const auto same = std::ranges::find_if(pictures_, [&](const Picture &candidate) {
      return candidate.expected["file"] == picture["file"];
    });
    if (same == pictures_.end()) throw std::runtime_error("expected-lora.json: unknown picture");
    pictures.push_back({same->stem, same->image, picture});
  }
  return pictures;
}

std::vector<Case> Folder::cases(const Picture &picture) const {
  std::vector<Case> cases;
  for (const auto &[name, expected] : picture.expected["results"].items()) {
    cases.push_back(make_case(name, expected));
  }
  return cases;
}

std::vector<Case> Folder::text_only_cases() const {
  if (!expected_.contains("text_only")) return {};
  const json &expected = expected_["text_only"];
  Case made = make_case("query", expected);
  made.name = "text_only";
  made.prompt = QueryPrompt{expected["question"], false, {}};
  made.settings.max_tokens = kTextOnlyTokens;
  return {made};
}

bool are_shipped() {
  const char *folder = std::getenv("MOONDREAM_GOLDEN");
  return !folder || !*folder;
}

std::vector<std::filesystem::path> folders() {
  if (!are_shipped()) return {std::getenv("MOONDREAM_GOLDEN")};
  const std::filesystem::path shipped = std::filesystem::path(MOONDREAM_TEST_DATA) / "golden";
  return {shipped / "moondream2-tiny", shipped / "moondream2-tiny-gqa",
          shipped / "moondream2-tiny-int4", shipped / "moondream3-tiny",
          shipped / "moondream3-tiny-fp8"};
}

std::vector<std::filesystem::path> variant_folders() {
  std::vector<std::filesystem::path> with_variant = folders();
  std::erase_if(with_variant, [](const std::filesystem::path &folder) {
    return !std::filesystem::exists(folder / "expected-lora.json");
  });
  return with_variant;
}

}  // namespace moondream::golden
