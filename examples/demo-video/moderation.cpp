// Compares what moondreammoderate covered with what should have been.
#include <gst/gst.h>

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "black_pixels.h"
#include "json_lines.h"
#include "program.h"
#include "timeline.h"
#include "truth.h"
#include "video_reader.h"

namespace {

using Json = nlohmann::json;
using scenes::Span;

// One element for each frame of the video.
struct Course {
  std::vector<std::uint64_t> pts;  // ns
  std::vector<bool> present;       // what must not be shown is there
  std::vector<bool> covered;       // by the pixels
  std::vector<bool> reported;      // as covered
  std::uint64_t end = 0;           // ns, of the video
};

Course follow(const std::string &label, const scenes::Truth &truth, const std::string &video,
              const std::vector<Json> &report) {
  Course course{.end = truth.duration};
  scenes::VideoReader reader = scenes::VideoReader::of_file(video);
  while (const auto frame = reader.next()) {
    const scenes::TrueFrame *known = truth.at(frame->pts);
    if (!known) {
      throw std::runtime_error("nothing is known of the frame at " + std::to_string(frame->pts) +
                               " ns");
    }
    course.pts.push_back(frame->pts);
    course.present.push_back(
        std::any_of(known->objects.begin(), known->objects.end(),
                    [&](const scenes::LabelledBox &object) { return object.label == label; }));
    // No drawn frame is, and compression may leave specks.
    constexpr double kCovered = 0.95;
    course.covered.push_back(cv::countNonZero(scenes::black_pixels(frame->picture)) >=
                             kCovered * static_cast<double>(frame->picture.total()));
    course.reported.push_back(std::any_of(report.begin(), report.end(), [&](const Json &interval) {
      return interval.at("begin").at("pts") <= frame->pts &&
             frame->pts < interval.at("end").at("pts");
    }));
  }
  if (course.pts.size() != truth.frames.size()) {
    throw std::runtime_error(video + " has " + std::to_string(course.pts.size()) + " frames, not " +
                             std::to_string(truth.frames.size()));
  }
  return course;
}

std::string seconds(double nanoseconds) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << nanoseconds / 1e9;
  return text.str();
}

std::string from_to(double begin, double end) {
  std::ostringstream text;
  text << std::setw(7) << seconds(begin) << " to " << std::setw(6) << seconds(end) << " s  ";
  return text.str();
}

// "license plate 0.98; Is there a license plate? Yes", or why nothing was known.
std::string cause_of(const Json &interval) {
  if (interval.at("kind") != "stop") return interval.value("reason", "");
  std::ostringstream text;
  for (const Json &trigger : interval.at("triggers")) {
    if (text.tellp() > 0) text << "; ";
    text << trigger.at("subject").get<std::string>() << ' ';
    if (trigger.contains("answer")) {
      text << trigger.at("answer").get<std::string>();
    } else {
      text << std::fixed << std::setprecision(2) << trigger.at("score").get<double>();
    }
  }
  return text.str();
}

void print_course(const Course &course, const std::string &label) {
  constexpr int kWidth = 60;
  const int margin = 2 + static_cast<int>(std::max(label.size(), std::string("covered").size()));
  const std::string end = seconds(static_cast<double>(course.end)) + " s";
  std::cout << std::left << '\n'
            << std::setw(margin) << ""
            << "0 s" << std::right << std::setw(kWidth - 3) << end << std::left << '\n'
            << std::setw(margin) << label << scenes::bar_of(course.present, kWidth) << '\n'
            << std::setw(margin) << "covered" << scenes::bar_of(course.covered, kWidth) << '\n';
}

void print_present(const Course &course, const std::string &label) {
  std::cout << "\nA " << label << " is there:\n";
  for (const Span &span : scenes::spans_of(course.present)) {
    const auto begin = course.covered.begin() + static_cast<std::ptrdiff_t>(span.begin);
    const auto end = course.covered.begin() + static_cast<std::ptrdiff_t>(span.end);
    const auto first = std::find(begin, end, true);
    const double start = static_cast<double>(course.pts[span.begin]);
    const double stop =
        static_cast<double>(span.end < course.pts.size() ? course.pts[span.end] : course.end);
    std::cout << from_to(start, stop);
    if (first == end) {
      std::cout << "never covered\n";
      continue;
    }
    const double covered = static_cast<double>(course.pts[span.begin + (first - begin)]);
    std::cout << "covered after " << seconds(covered - start) << " s, "
              << std::count(begin, end, true) << " of " << end - begin << " frames\n";
  }
}

void print_report(const std::vector<Json> &report) {
  std::cout << "\nThe report has covered:\n";
  for (const Json &interval : report) {
    std::cout << from_to(interval.at("begin").at("pts"), interval.at("end").at("pts"))
              << cause_of(interval) << '\n';
  }
  if (report.empty()) std::cout << "  nothing\n";
}

void print_share(const std::string &what, const std::vector<bool> &frames, bool of,
                 const std::vector<bool> &covered) {
  int all = 0, hits = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (frames[i] != of) continue;
    ++all;
    hits += covered[i];
  }
  std::cout << what << all << " frames, " << hits << " covered";
  if (all > 0)
    std::cout << " (" << std::setprecision(1) << std::fixed << 100.0 * hits / all << " %)";
  std::cout << '\n';
}

// Returns whether the report says what the pixels show.
bool compare(const std::string &label, const std::string &truth_file, const std::string &video,
             const std::string &report_file) {
  const std::vector<Json> report = scenes::read_json_lines(report_file);
  const Course course = follow(label, scenes::read_truth(truth_file), video, report);
  print_course(course, label);
  print_present(course, label);
  print_report(report);
  std::cout << '\n';
  print_share("With a " + label + ":    ", course.present, true, course.covered);
  print_share("Without a " + label + ": ", course.present, false, course.covered);
  if (course.covered != course.reported) {
    std::cerr << "demo-moderation: the video is not what its report says\n";
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char **argv) {
  std::string label;
  const scenes::Page page{
      .name = "demo-moderation",
      .summary = "compares what moondreammoderate covered with what should have been",
      .operands = "TRUTH.json VIDEO REPORT.jsonl",
      .description =
          "VIDEO is what left the element with action=cover, REPORT.jsonl its report. Covered is "
          "what is black. Fails if the two disagree.",
      .options = {scenes::text_option("label", "LABEL", "What must not be shown.", label)},
      .examples = ""};
  return scenes::run_program(page, argc, argv, [&](const scenes::Operands &files) {
    if (files.size() != 3) throw scenes::UsageError("three files must be given");
    if (label.empty()) throw scenes::UsageError("no --label is given");
    gst_init(nullptr, nullptr);
    return compare(label, files[0], files[1], files[2]);
  });
}
