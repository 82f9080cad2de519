// Draws pictures and writes them, cut up as the model sees them, with their truth and lessons.
#include <array>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <set>
#include <stdexcept>
#include <string>

#include "config.h"
#include "image_crops.h"
#include "lesson.h"
#include "picture.h"
#include "program.h"

namespace {

struct Arguments {
  std::uint64_t seed = 0;
  std::uint64_t count = ~std::uint64_t{0};
  std::string model, sheet;
  bool texts = false;
};

bool write(const void *data, std::size_t bytes) {
  return std::fwrite(data, 1, bytes, stdout) == bytes;
}

// Returns when the reader has enough.
void write_records(const Arguments &arguments) {
  const moondream::VisionConfig vision = moondream::read_config(arguments.model).vision;
  for (std::uint64_t i = 0; i < arguments.count; ++i) {
    const std::uint64_t seed = arguments.seed + i;
    const scenes::Picture picture = scenes::random_picture(seed);
    const moondream::ImageView view{picture.pixels.data, picture.pixels.cols, picture.pixels.rows,
                                    static_cast<std::ptrdiff_t>(picture.pixels.step)};
    const moondream::Crops crops = moondream::crop_image(view, vision);

    nlohmann::json record = {{"rows", crops.tiling.rows},
                             {"columns", crops.tiling.columns},
                             {"crops", crops.count},
                             {"things", nlohmann::json::array()}};
    for (const scenes::Thing &thing : picture.things) {
      nlohmann::json json = {
          {"kind", thing.kind},
          {"box", {thing.box.x_min, thing.box.y_min, thing.box.x_max, thing.box.y_max}}};
      if (thing.color) json["color"] = scenes::to_string(*thing.color);
      record["things"].push_back(std::move(json));
    }
    // To look at a picture takes a student longer than to be asked about it: two rounds of lessons.
    std::set<nlohmann::json> lessons;
    for (const std::uint64_t round : {seed, ~seed}) {
      for (const scenes::Lesson &lesson : scenes::make_lessons(picture, round)) {
        lessons.insert(scenes::to_json(lesson));
      }
    }
    record["lessons"] = lessons;
    const std::string line = record.dump() + '\n';
    if (!write(line.data(), line.size()) || !write(crops.pixels.data(), crops.pixels.size())) {
      return;
    }
  }
}

void write_sheet(const Arguments &arguments) {
  constexpr int kRows = 5, kColumns = 4;
  const cv::Size cell(480, 270);
  cv::Mat sheet(kRows * cell.height, kColumns * cell.width, CV_8UC3);
  for (int i = 0; i < kRows * kColumns; ++i) {
    const auto picture = scenes::random_picture(arguments.seed + static_cast<std::uint64_t>(i));
    cv::Mat shown;
    cv::resize(picture.pixels, shown, cell, 0, 0, cv::INTER_AREA);
    for (const scenes::Thing &thing : picture.things) {
      const cv::Rect2d box(thing.box.x_min * cell.width, thing.box.y_min * cell.height,
                           (thing.box.x_max - thing.box.x_min) * cell.width,
                           (thing.box.y_max - thing.box.y_min) * cell.height);
      cv::rectangle(shown, box, cv::Scalar(0, 255, 0), 1);
      cv::putText(shown, thing.label(), cv::Point(box.tl()) + cv::Point(2, 10),
                  cv::FONT_HERSHEY_PLAIN, 0.8, cv::Scalar(0, 255, 0));
      if (thing.gaze) {
        cv::arrowedLine(shown,
                        {cvRound(thing.eyes.x * cell.width), cvRound(thing.eyes.y * cell.height)},
                        {cvRound(thing.gaze->x * cell.width), cvRound(thing.gaze->y * cell.height)},
                        cv::Scalar(255, 0, 255));
      }
    }
    shown.copyTo(
        sheet({(i % kColumns) * cell.width, i / kColumns * cell.height, cell.width, cell.height}));
  }
  cv::cvtColor(sheet, sheet, cv::COLOR_RGB2BGR);
  if (!cv::imwrite(arguments.sheet, sheet))
    throw std::runtime_error("cannot write " + arguments.sheet);
}

}  // namespace

int main(int argc, char **argv) {
  Arguments arguments;
  const scenes::Page page{
      .name = "demo-lessons",
      .summary = "draws pictures to learn from",
      .operands = "",
      .description =
          "With --model, records without end on standard output: a line of JSON with what is in a "
          "picture and the lessons about it, then its crops, as they are cut for the model.",
      .options = {scenes::text_option("model", "CONFIG.json", "Writes records for such a model.",
                                      arguments.model),
                  scenes::text_option("sheet", "FILE.png",
                                      "Draws a few pictures to look at, with their boxes.",
                                      arguments.sheet),
                  moondream::cli::flag("texts", 0, "Prints all texts, for a tokenizer.",
                                       arguments.texts),
                  scenes::integer_option("seed", "Of the first picture (0).", arguments.seed, 0),
                  scenes::integer_option("count", "Ends after so many records.", arguments.count,
                                         0)},
      .examples = " demo-lessons --sheet sheet.png --seed 7"};
  return scenes::run_program(page, argc, argv, [&](const scenes::Operands &operands) {
    if (!operands.empty()) throw scenes::UsageError("takes no " + operands[0]);
    if (arguments.texts + !arguments.sheet.empty() + !arguments.model.empty() != 1) {
      throw scenes::UsageError("one of --model, --texts and --sheet is needed");
    }
    if (arguments.texts) {
      for (const std::string &text : scenes::all_texts()) std::puts(text.c_str());
    } else if (!arguments.sheet.empty()) {
      write_sheet(arguments);
    } else {
      write_records(arguments);
    }
    return true;
  });
}
