// Says how much of known things a redacted video still shows, by the pixels of both videos.
#include <gst/gst.h>

#include <iomanip>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "black_pixels.h"
#include "json_lines.h"
#include "program.h"
#include "redaction_score.h"
#include "truth.h"
#include "video_reader.h"

namespace {

using Json = nlohmann::json;

// What the audit says of each frame, by PTS.
std::map<std::uint64_t, Json> read_audit(const std::string &file) {
  std::map<std::uint64_t, Json> frames;
  for (Json &line : scenes::read_json_lines(file)) {
    const std::uint64_t pts = line.at("pts");
    frames[pts] = std::move(line);
  }
  return frames;
}

// 255 where the audit says that a frame was redacted, else 0.
cv::Mat redacted_by(const Json &line, cv::Size size) {
  const std::string action = line.at("action");
  if (action == "cover") return {size, CV_8U, cv::Scalar(255)};
  cv::Mat redacted(size, CV_8U, cv::Scalar(0));
  for (const Json &region : line.at("regions")) {
    const cv::Rect box(region.at("x"), region.at("y"), region.at("width"), region.at("height"));
    redacted(box & cv::Rect({0, 0}, size)).setTo(255);
  }
  return redacted;
}

std::string percent(double share) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << 100 * share << " %";
  return text.str();
}

// Returns whether audit and pixels agree.
bool measure(const std::vector<std::string> &labels, const std::string &truth_file,
             const std::string &original_file, const std::string &redacted_file,
             const std::string &audit_file) {
  const scenes::Truth truth = scenes::read_truth(truth_file);
  const std::map<std::uint64_t, Json> audit = read_audit(audit_file);
  scenes::VideoReader originals = scenes::VideoReader::of_file(original_file);
  scenes::VideoReader redacted = scenes::VideoReader::of_file(redacted_file);
  scenes::RedactionScore score(labels);
  std::map<std::string, int> actions;
  int frames = 0;
  std::uint64_t pixels = 0, agreeing = 0;
  while (const auto original = originals.next()) {
    const auto frame = redacted.next();
    const scenes::TrueFrame *known = truth.at(original->pts);
    const auto line = audit.find(original->pts);
    const std::string when = std::to_string(original->pts) + " ns";
    if (!frame || frame->pts != original->pts ||
        frame->picture.size() != original->picture.size()) {
      throw std::runtime_error(redacted_file + " does not have the frame at " + when);
    }
    if (!known) throw std::runtime_error(truth_file + " does not know the frame at " + when);
    if (line == audit.end()) throw std::runtime_error(audit_file + " has no line about " + when);
    // What was black before cannot be told from what was made black.
    const cv::Mat visible = ~scenes::black_pixels(original->picture);
    const cv::Mat gone = scenes::black_pixels(frame->picture) & visible;
    score.add(gone, known->objects);
    const cv::Mat said = redacted_by(line->second, gone.size()) & visible;
    agreeing += static_cast<std::uint64_t>(cv::countNonZero(said == gone));
    pixels += gone.total();
    ++actions[line->second.at("action")];
    ++frames;
  }
  if (frames == 0 || redacted.next()) {
    throw std::runtime_error(redacted_file + " does not have the frames of " + original_file);
  }

  std::cout << "\nAudit: " << frames << " frames";
  for (const auto &[action, count] : actions) std::cout << ", " << count << ' ' << action;
  const double agreement = static_cast<double>(agreeing) / static_cast<double>(pixels);
  std::cout << ". Its regions and the pixels of the video agree to " << percent(agreement)
            << ".\n\nWhat became of all that is there, by the pixels (hidden: at least "
            << 100 * scenes::Hiding::kHidden << " %\nof its box is gone, open: less than "
            << 100 * scenes::Hiding::kOpen << " %):\n"
            << score.table() << "\nOf the rest of the picture " << percent(score.in_vain())
            << " was covered in vain, margins included.\n";
  // Compression blurs the rims of regions.
  constexpr double kAgreement = 0.99;
  if (agreement < kAgreement) {
    std::cerr << "demo-redaction: the video is not what its audit says\n";
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char **argv) {
  std::vector<std::string> labels;
  const scenes::Page page{
      .name = "demo-redaction",
      .summary = "says how much of known things a redacted video still shows",
      .operands = "TRUTH.json ORIGINAL REDACTED AUDIT.jsonl",
      .description =
          "Compares the pixels of both videos: what was destroyed is black. AUDIT.jsonl is what "
          "moondreamredact says that it did, which is compared with the pixels. Fails if they "
          "disagree, or if the videos do not have the same frames.",
      .options = {scenes::list_option("labels", "What should be gone, separated by commas.",
                                      labels)},
      .examples = ""};
  return scenes::run_program(page, argc, argv, [&](const scenes::Operands &files) {
    if (files.size() != 4) throw scenes::UsageError("four files must be given");
    if (labels.empty()) throw scenes::UsageError("no --labels are given");
    gst_init(nullptr, nullptr);
    return measure(labels, files[0], files[1], files[2], files[3]);
  });
}
