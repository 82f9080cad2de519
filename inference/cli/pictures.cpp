#include "pictures.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <span>
#include <system_error>

#include "files.h"
#include "outline.h"

namespace moondream::cli {
namespace {

// Distinct, and bright on most pictures.
const cv::Scalar kColours[] = {
    {66, 206, 66}, {255, 144, 30}, {60, 76, 231}, {18, 196, 243}, {182, 89, 155}, {208, 224, 64},
};

constexpr double kTint = 0.4;  // the colour's share of what an outline encloses

std::vector<std::uint8_t> contents(const std::string &path) {
  if (path == "-") {
    std::istreambuf_iterator<char> begin(std::cin), end;
    return {begin, end};
  }
  const MappedFile file = map_file(path);
  const auto *bytes = reinterpret_cast<const std::uint8_t *>(file.bytes.get());
  return {bytes, bytes + file.size};
}

// Whether a JPEG file ends before its end marker. The decoder fills up what is missing, and says
// nothing of it.
bool is_cut_jpeg(std::span<const std::uint8_t> bytes) {
  constexpr std::uint8_t kStart = 0xD8, kEnd = 0xD9;
  if (bytes.size() < 2 || bytes[0] != 0xFF || bytes[1] != kStart) return false;
  for (std::size_t at = 2; at + 1 < bytes.size();) {
    // What is compressed has no 0xFF but before 0 and markers of restarts.
    if (bytes[at] != 0xFF || bytes[at + 1] == 0xFF) {
      ++at;
      continue;
    }
    const std::uint8_t marker = bytes[at + 1];
    if (marker == kEnd) return false;
    at += 2;
    const bool is_restart = marker >= 0xD0 && marker <= 0xD7;
    if (marker <= 1 || is_restart) continue;  // the others have a length
    if (at + 1 < bytes.size()) at += std::size_t{256} * bytes[at] + bytes[at + 1];
  }
  return true;
}

// Draws on a picture in fractions of it.
class Canvas {
 public:
  explicit Canvas(cv::Mat &mat)
      : mat_(mat),
        width_(std::max(2, static_cast<int>(std::lround(0.004 * std::min(mat.cols, mat.rows))))) {}

  void box(const Box &box, const cv::Scalar &colour) {
    cv::rectangle(mat_, at({box.x_min, box.y_min}), at({box.x_max, box.y_max}), colour, width_);
  }
  // Its edge is as wide as lines are, inside of it, so that nothing outside of it changes.
  void outline(const std::string &path, const Box &box, const cv::Scalar &colour) {
    Mask mask = fill_outline(path, box, mat_.cols, mat_.rows);
    const cv::Mat inside(mat_.rows, mat_.cols, CV_8UC1, mask.pixels.data());
    cv::Mat tinted, inner;
    cv::addWeighted(mat_, 1 - kTint, cv::Mat(mat_.size(), mat_.type(), colour), kTint, 0, tinted);
    tinted.copyTo(mat_, inside);
    const int size = 2 * width_ + 1;
    cv::erode(inside, inner, cv::getStructuringElement(cv::MORPH_ELLIPSE, {size, size}));
    mat_.setTo(colour, inside - inner);
  }
  void point(const Point &point, const cv::Scalar &colour) {
    cv::circle(mat_, at(point), 3 * width_, colour, cv::FILLED, cv::LINE_AA);
  }
  void ray(const Point &from, const Point &to, const cv::Scalar &colour) {
    cv::arrowedLine(mat_, at(from), at(to), colour, width_, cv::LINE_AA, 0, 0.06);
  }
  // On a plate whose lower left corner is at `corner`, moved into the picture.
  void label(const std::string &text, const Point &corner, const cv::Scalar &colour) {
    if (text.empty()) return;
    const double scale = std::max(0.4, 0.0012 * std::min(mat_.cols, mat_.rows));
    int below = 0;
    const cv::Size size = cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, scale, 1, &below);
    cv::Point at_corner = at(corner);
    at_corner.x = std::clamp(at_corner.x, 0, std::max(0, mat_.cols - size.width));
    at_corner.y = std::clamp(at_corner.y, size.height + below, mat_.rows);
    cv::rectangle(mat_, {at_corner.x, at_corner.y - size.height - below},
                  {at_corner.x + size.width, at_corner.y}, colour, cv::FILLED);
    cv::putText(mat_, text, {at_corner.x, at_corner.y - below / 2}, cv::FONT_HERSHEY_SIMPLEX, scale,
                {0, 0, 0}, 1, cv::LINE_AA);
  }

 private:
  cv::Point at(const Point &point) const {
    const auto pixel = [](double fraction, int size) {
      return static_cast<int>(std::lround(std::clamp(fraction, -1.0, 2.0) * (size - 1)));
    };
    return {pixel(point.x, mat_.cols), pixel(point.y, mat_.rows)};
  }

  cv::Mat &mat_;
  const int width_;  // of lines, pixels
};

class Palette {
 public:
  const cv::Scalar &operator[](const std::string &label) {
    const auto next = colours_.size() % std::size(kColours);
    return kColours[colours_.try_emplace(label, next).first->second];
  }

 private:
  std::map<std::string, std::size_t> colours_;
};

void draw(cv::Mat &mat, const Overlay &overlay) {
  Canvas canvas(mat);
  Palette palette;
  // What covers most comes first.
  for (const auto &[label, path, box] : overlay.outlines) canvas.outline(path, box, palette[label]);
  for (const auto &[label, box] : overlay.boxes) canvas.box(box, palette[label]);
  for (const auto &[label, box] : overlay.boxes) {
    canvas.label(label, {box.x_min, box.y_min}, palette[label]);
  }
  for (const auto &[label, point] : overlay.points) canvas.point(point, palette[label]);
  for (const auto &[label, point] : overlay.points) canvas.label(label, point, palette[label]);
  for (const auto &[from, to] : overlay.gaze) canvas.ray(from, to, palette["gaze"]);
}

void write_whole(const std::string &path, const std::vector<std::uint8_t> &bytes) {
  const std::string partial = path + ".partial-" + std::to_string(getpid());
  std::ofstream file(partial, std::ios::binary);
  file.write(reinterpret_cast<const char *>(bytes.data()), std::ssize(bytes));
  file.close();
  if (file && std::rename(partial.c_str(), path.c_str()) == 0) return;
  const int error = errno;
  std::remove(partial.c_str());
  throw Error(ErrorKind::kRead,
              path + ": cannot be written: " + std::generic_category().message(error));
}

}  // namespace

Image read_picture(const std::string &path) {
  const std::string name = path == "-" ? "standard input" : path;
  // Its own complaints would come beside ours.
  cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  const std::vector<std::uint8_t> bytes = contents(path);
  if (is_cut_jpeg(bytes)) {
    throw Error(ErrorKind::kRead, name + ": is cut short: the JPEG file has no end");
  }
  cv::Mat mat;
  try {
    if (!bytes.empty()) mat = cv::imdecode(bytes, cv::IMREAD_COLOR);
  } catch (const cv::Exception &) {
    // Below: it is too large, or damaged.
  }
  if (mat.empty()) {
    throw Error(ErrorKind::kRead, name + ": is not a picture of a kind that can be read");
  }
  Image image{mat.cols, mat.rows, std::vector<std::uint8_t>(mat.total() * 3)};
  cv::Mat rgb(mat.rows, mat.cols, CV_8UC3, image.pixels.data());
  cv::cvtColor(mat, rgb, cv::COLOR_BGR2RGB);
  return image;
}

void save_overlay(const std::string &path, const Image &image, const Overlay &overlay) {
  // cv::Mat has no form for memory that is only read; it is copied below.
  const cv::Mat rgb(image.height, image.width, CV_8UC3,
                    const_cast<std::uint8_t *>(image.pixels.data()));
  cv::Mat mat;
  cv::cvtColor(rgb, mat, cv::COLOR_RGB2BGR);
  draw(mat, overlay);
  std::vector<std::uint8_t> bytes;
  if (!cv::imencode(".png", mat, bytes)) {
    throw Error(ErrorKind::kRead, path + ": cannot be written as a PNG");
  }
  write_whole(path, bytes);
}

}  // namespace moondream::cli
