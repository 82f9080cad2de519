#include "look.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "caught_error.h"
#include "crop_memory.h"
#include "gaze.h"
#include "grid.h"
#include "request_rules.h"

namespace moondream {
namespace {

// Of a face's box, from its top.
constexpr double kEyeLine = 0.4;

bool looks_for_objects(const Prompt &prompt) {
  return std::holds_alternative<DetectPrompt>(prompt) ||
         std::holds_alternative<PointPrompt>(prompt);
}

// The face whose gaze the prompt asks for, or null.
const Box *face_of(const Prompt &prompt) {
  const auto *gaze = std::get_if<GazePrompt>(&prompt);
  return gaze && gaze->face ? &*gaze->face : nullptr;
}

// The generation that a prompt begins with: faces are found before their gazes.
SinglePrompt first_generation(const Prompt &prompt) {
  return std::visit(
      []<typename P>(const P &one) -> SinglePrompt {
        if constexpr (std::is_same_v<P, FaceGazePrompt>) {
          return DetectPrompt{"face"};
        } else {
          return one;
        }
      },
      prompt);
}

Point eyes_of(const Box &face) {
  const double x = (face.x_min + face.x_max) / 2;
  const double y = face.y_min + kEyeLine * (face.y_max - face.y_min);
  return {std::clamp(x, 0.0, 1.0), std::clamp(y, 0.0, 1.0)};
}

std::span<const std::uint8_t> pixels_of(const Crops &crops, std::size_t i) {
  return std::span(crops.pixels).subspan(i * crops.crop_bytes(), crops.crop_bytes());
}

// One job on its way. What a step throws becomes its outcome; once it has one, the further steps
// leave it out.
class Course {
 public:
  Course(const Model &model, const Job &job) : job_(job) {
    attempt([&] { begin(model); });
  }

  bool open() const { return !outcome_; }
  Outcome outcome() && { return std::move(*outcome_); }

  // Steps, in order. What they append is for one call for all jobs, whose results come back in the
  // same order.
  void append_pictures(std::vector<Picture> &all) const;
  void take_pictures(std::span<Picture> pictures,
                     std::span<const std::shared_ptr<const EncodedImage>> encoded);
  void append_generations(std::vector<Generation> &all);
  void take_results(std::span<std::variant<PromptResult, Error>> results);
  void refine_outlines(const Model &model);
  void append_gazes(std::vector<Generation> &all) const;
  void take_gazes(std::span<std::variant<PromptResult, Error>> results);
  // Makes the outcome of what is still open, and keeps what the stream's next request may use.
  void finish();

 private:
  template <typename Step>
  void attempt(const Step &step) {
    try {
      step();
    } catch (...) {
      outcome_ = caught_error("looking");
    }
  }

  void begin(const Model &model);
  void recall();
  // Gives the listener a piece of a text. Once that threw, it is what every further call throws.
  void pass_on(TextPiece piece);
  // How many generations a prompt begins with.
  std::size_t generations_of(const Prompt &prompt) const;
  Generation generation(SinglePrompt prompt, std::size_t place) const;
  PromptResult joined(const Prompt &prompt, std::span<const PromptResult> found) const;
  CropMemory *memory() const { return static_cast<CropMemory *>(job_.memory); }

  const Job &job_;
  std::unique_ptr<const CutPicture> own_;  // if the job came without a preparation
  const CutPicture *cut_ = nullptr;        // null: no picture
  Sight sight_;                            // null where a crop is not known
  Effort effort_;
  std::vector<std::shared_ptr<const EncodedImage>> images_;
  std::vector<PromptResult> results_;
  std::optional<Error> unheard_;  // what the listener threw
  std::optional<Outcome> outcome_;
};

void Course::begin(const Model &model) {
  if (job_.cancelled.stop_requested()) {
    throw Error(ErrorKind::kCancelled, "cancelled before it began");
  }
  if (job_.preparation) {
    cut_ = static_cast<const CutPicture *>(job_.preparation);
  } else if (job_.image) {
    own_ = std::make_unique<const CutPicture>(model, *job_.request, *job_.image);
    cut_ = own_.get();
  }
  recall();
}

// Finds out which crops look as they did, and whether that answers the request.
void Course::recall() {
  const auto last = memory() ? memory()->last() : nullptr;
  const std::size_t pictures = cut_ ? cut_->crops().size() : 0;
  bool same = last && last->pictures.size() == pictures;
  for (std::size_t p = 0; p < pictures; ++p) {
    const Crops &crops = cut_->crops()[p];
    KnownPicture &now =
        sight_.pictures.emplace_back(KnownPicture{cut_->places()[p], crops.tiling, {}});
    const KnownPicture *before = last && p < last->pictures.size() ? &last->pictures[p] : nullptr;
    same = same && before->place == now.place && before->tiling == now.tiling;
    now.crops.resize(crops.count);
    for (std::size_t c = 0; c < now.crops.size(); ++c) {
      if (before && c < before->crops.size() &&
          looks_alike(before->crops[c]->pixels, pixels_of(crops, c),
                      job_.request->change_threshold)) {
        now.crops[c] = before->crops[c];
      } else {
        same = false;
        ++effort_.crops_encoded;
      }
    }
    effort_.crops += crops.count;
  }
  if (same && job_.request->reuse_result && last->answer && last->answer->answers(*job_.request)) {
    effort_.reused = true;
    if (job_.request->on_text) {
      for (TextPiece &text : whole_texts(last->answer->results)) pass_on(std::move(text));
    }
    outcome_ = Result{last->answer->results, effort_};
  }
}

void Course::pass_on(TextPiece piece) {
  if (unheard_) throw *unheard_;
  if (job_.cancelled.stop_requested()) return;
  try {
    job_.request->on_text(std::move(piece));
  } catch (...) {
    unheard_ = caught_error("passing on a text");
    throw *unheard_;
  }
}

void Course::append_pictures(std::vector<Picture> &all) const {
  for (std::size_t p = 0; p < sight_.pictures.size(); ++p) {
    Picture &picture = all.emplace_back(
        Picture{&cut_->crops()[p], {}, [stop = job_.cancelled] { return stop.stop_requested(); }});
    for (const auto &crop : sight_.pictures[p].crops) {
      picture.features.push_back(crop ? crop->features : at::Tensor());
    }
  }
}

void Course::take_pictures(std::span<Picture> pictures,
                           std::span<const std::shared_ptr<const EncodedImage>> encoded) {
  attempt([&] {
    images_.assign(encoded.begin(), encoded.end());
    if (std::ranges::find(images_, nullptr) != images_.end()) {
      throw Error(ErrorKind::kCancelled, "cancelled while encoding");
    }
    if (!memory()) return;
    for (std::size_t p = 0; p < pictures.size(); ++p) {
      auto &known = sight_.pictures[p].crops;
      for (std::size_t c = 0; c < known.size(); ++c) {
        if (known[c]) continue;
        const auto pixels = pixels_of(*pictures[p].crops, c);
        known[c] = std::make_shared<const KnownCrop>(
            KnownCrop{{pixels.begin(), pixels.end()}, pictures[p].features[c].clone()});
      }
    }
  });
}

std::size_t Course::generations_of(const Prompt &prompt) const {
  if (face_of(prompt)) return 2 * kGazeLooks;
  return looks_for_objects(prompt) && cut_ ? cut_->parts().size() : 1;
}

Generation Course::generation(SinglePrompt prompt, std::size_t place) const {
  return {images_.empty() ? nullptr : images_[place],
          std::move(prompt),
          job_.request->settings,
          job_.cancelled,
          {}};
}

void Course::append_generations(std::vector<Generation> &all) {
  const auto &prompts = job_.request->prompts;
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    const Prompt &prompt = prompts[p];
    if (const Box *face = face_of(prompt)) {
      const bool forced = std::get<GazePrompt>(prompt).force_detect;
      const std::vector<Point> eyes = gaze_eyes(*face, job_.request->settings.seed);
      for (std::size_t i = 0; i < eyes.size(); ++i) {
        const std::size_t place = i < kGazeLooks ? 0 : cut_->parts().size();
        all.push_back(generation(GazePrompt{eyes[i], forced, {}}, place));
      }
      continue;
    }
    for (std::size_t place = 0; place < generations_of(prompt); ++place) {
      all.push_back(generation(first_generation(prompt), place));
      if (!job_.request->on_text) continue;
      all.back().listener = [this, p](std::string piece, bool reasoning) {
        pass_on({p, reasoning, std::move(piece)});
      };
    }
  }
}

void Course::take_results(std::span<std::variant<PromptResult, Error>> results) {
  attempt([&] {
    // A request is answered whole or not at all: its first error is its outcome.
    std::vector<PromptResult> found;
    for (auto &result : results) {
      if (const Error *error = std::get_if<Error>(&result)) throw *error;
      found.push_back(std::get<PromptResult>(std::move(result)));
    }
    std::span<const PromptResult> left = found;
    for (const Prompt &prompt : job_.request->prompts) {
      const std::size_t count = generations_of(prompt);
      results_.push_back(joined(prompt, left.first(count)));
      left = left.subspan(count);
    }
  });
}

PromptResult Course::joined(const Prompt &prompt, std::span<const PromptResult> found) const {
  if (std::holds_alternative<FaceGazePrompt>(prompt)) {
    FaceGazeResult faces;
    for (const ScoredBox &face : std::get<DetectResult>(found[0]).objects) {
      faces.faces.push_back({face, eyes_of(face.box), {}});
    }
    return faces;
  }
  if (face_of(prompt)) {
    std::vector<Point> gazes;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto &gaze = std::get<GazeResult>(found[i]).gaze;
      if (gaze) gazes.push_back(i < kGazeLooks ? *gaze : mirrored(*gaze));
    }
    return GazeResult{mean_gaze(gazes)};
  }
  if (found.size() == 1) return found[0];
  const int most = job_.request->settings.max_objects;
  if (std::holds_alternative<DetectPrompt>(prompt)) {
    std::vector<std::vector<ScoredBox>> boxes;
    for (const PromptResult &one : found) boxes.push_back(std::get<DetectResult>(one).objects);
    return DetectResult{merge_boxes(cut_->parts(), boxes, most)};
  }
  std::vector<std::vector<ScoredPoint>> points;
  for (const PromptResult &one : found) points.push_back(std::get<PointResult>(one).points);
  return PointResult{merge_points(cut_->parts(), points, most)};
}

void Course::refine_outlines(const Model &model) {
  attempt([&] {
    for (PromptResult &result : results_) {
      auto *outline = std::get_if<SegmentResult>(&result);
      if (!outline || !job_.image) continue;
      if (job_.cancelled.stop_requested()) {
        throw Error(ErrorKind::kCancelled, "cancelled before refining an outline");
      }
      *outline = model.refine(job_.image->view(), std::move(*outline));
    }
  });
}

void Course::append_gazes(std::vector<Generation> &all) const {
  for (const PromptResult &result : results_) {
    const auto *found = std::get_if<FaceGazeResult>(&result);
    if (!found) continue;
    for (const FaceGaze &face : found->faces) {
      all.push_back(generation(GazePrompt{face.eyes, false}, 0));
    }
  }
}

void Course::take_gazes(std::span<std::variant<PromptResult, Error>> results) {
  attempt([&] {
    auto next = results.begin();
    for (PromptResult &result : results_) {
      auto *found = std::get_if<FaceGazeResult>(&result);
      if (!found) continue;
      for (FaceGaze &face : found->faces) {
        if (const Error *error = std::get_if<Error>(&*next)) throw *error;
        face.gaze = std::get<GazeResult>(std::get<PromptResult>(*next++)).gaze;
      }
    }
  });
}

void Course::finish() {
  if (effort_.reused) return;
  // A request that failed or was cancelled has still seen, if it came so far.
  bool seen = !sight_.pictures.empty() &&
              std::ranges::all_of(sight_.pictures, [](const KnownPicture &picture) {
                return std::ranges::find(picture.crops, nullptr) == picture.crops.end();
              });
  if (open()) {
    const Request &request = *job_.request;
    sight_.answer = {request.prompts, request.settings, request.grid, results_};
    outcome_ = Result{std::move(results_), effort_};
    seen = true;
  }
  if (memory() && seen) memory()->keep(std::move(sight_));
}

// One step for all jobs that are still open: lets each append its items, runs them as one batch,
// and gives each the results of its own.
template <typename Item, typename Append, typename Run, typename Take>
void together(std::vector<Course> &courses, const Append &append, const Run &run,
              const Take &take) {
  struct Share {
    Course *course;
    std::size_t begin, count;
  };
  std::vector<Item> items;
  std::vector<Share> shares;
  for (Course &course : courses) {
    if (!course.open()) continue;
    const std::size_t begin = items.size();
    append(course, items);
    shares.push_back({&course, begin, items.size() - begin});
  }
  if (items.empty()) return;
  auto results = run(items);
  for (const Share &share : shares) {
    take(*share.course, std::span(items).subspan(share.begin, share.count),
         std::span(results).subspan(share.begin, share.count));
  }
}

}  // namespace

CutPicture::CutPicture(const Model &model, const Request &request, const Image &image) {
  const bool with_parts = std::ranges::any_of(request.prompts, looks_for_objects);
  const std::vector<Part> parts = parts_of(image.width, image.height, request.grid);
  for (const Part &part : std::span(parts).first(with_parts ? parts.size() : 1)) {
    const ImageView whole = image.view();
    const std::uint8_t *corner = whole.data + part.y * whole.stride + std::ptrdiff_t{3} * part.x;
    places_.push_back(part.place);
    crops_.push_back(model.crop({corner, part.width, part.height, whole.stride}));
  }
  parts_ = places_.size();
  if (std::ranges::any_of(request.prompts, [](const Prompt &prompt) { return face_of(prompt); })) {
    places_.push_back({1, 0, 0, 1});
    crops_.push_back(model.crop(mirrored(image.view()).view()));
  }
}

std::uint64_t CutPicture::bytes() const {
  std::uint64_t bytes = 0;
  for (const Crops &crops : crops_) bytes += crops.pixels.size();
  return bytes;
}

std::vector<Outcome> look(const Model &model, std::span<const Job> jobs) {
  const c10::InferenceMode guard;
  std::vector<Course> courses;
  for (const Job &job : jobs) courses.emplace_back(model, job);

  together<Picture>(
      courses, [](const Course &course, auto &all) { course.append_pictures(all); },
      [&](std::span<Picture> pictures) { return model.encode(pictures); },
      [](Course &course, std::span<Picture> pictures, auto encoded) {
        course.take_pictures(pictures, encoded);
      });
  const auto generate = [&](std::span<const Generation> all) { return model.generate(all); };
  together<Generation>(
      courses, [](Course &course, auto &all) { course.append_generations(all); }, generate,
      [](Course &course, auto, auto results) { course.take_results(results); });
  for (Course &course : courses) {
    if (course.open()) course.refine_outlines(model);
  }
  together<Generation>(
      courses, [](const Course &course, auto &all) { course.append_gazes(all); }, generate,
      [](Course &course, auto, auto results) { course.take_gazes(results); });

  std::vector<Outcome> outcomes;
  for (Course &course : courses) {
    course.finish();
    outcomes.push_back(std::move(course).outcome());
  }
  return outcomes;
}

}  // namespace moondream
