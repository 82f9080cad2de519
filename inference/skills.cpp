#include "skills.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include "sampler.h"
#include "svg_path.h"
#include "utf8.h"

namespace moondream {
namespace {

// Ids up to here are commands in every vocabulary that has outlines, whatever text they have.
constexpr std::int64_t kLastCommand = 20;
constexpr double kNever = -std::numeric_limits<double>::infinity();

void append(std::vector<std::int64_t> &ids, const std::vector<int> &more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

void append(std::vector<std::int64_t> &ids, const TokenIds &more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

// Tells of a piece of text, if there is one.
void tell(const TextListener &listener, std::string piece, bool reasoning) {
  if (listener && !piece.empty()) listener(std::move(piece), reasoning);
}

std::string stripped(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  const auto first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kSpaces) + 1 - first));
}

Error missing(const char *what) {
  return Error(ErrorKind::kSettings, std::string("the prompt's ") + what + " is empty");
}

Error untrained(const std::string &skill) {
  return Error(ErrorKind::kSettings, "this model has no template for " + skill);
}

void require(bool right, const std::string &text) {
  if (!right) throw Error(ErrorKind::kSettings, text);
}

}  // namespace

void validate(const GenerationSettings &settings) {
  require(std::isfinite(settings.temperature) && settings.temperature >= 0,
          "temperature must be at least 0, not " + std::to_string(settings.temperature));
  require(settings.top_p > 0 && settings.top_p <= 1,
          "top-p must be in (0, 1], not " + std::to_string(settings.top_p));
  require(settings.max_tokens >= 1,
          "max-tokens must be at least 1, not " + std::to_string(settings.max_tokens));
  require(settings.max_objects >= 1,
          "max-objects must be at least 1, not " + std::to_string(settings.max_objects));
}

Skills::Skills(const TokenizerConfig &config, const Tokenizer &tokenizer, const TextModel &text,
               const RegionModel &region)
    : config_(config), tokenizer_(tokenizer), text_(text), region_(region) {}

bool Skills::ends_text(std::int64_t token) const {
  return token == config_.eos_id ||
         std::ranges::find(config_.stop_ids, token) != config_.stop_ids.end();
}

void Skills::require_region() const {
  require(region_.exists(), "this model knows no places, only words");
}

Task<PromptResult> Skills::run(const SinglePrompt &prompt, const GenerationSettings &settings,
                               const TextListener &listener, Sequence &sequence) const {
  validate(settings);
  Task<PromptResult> task = dispatch(prompt, settings, listener, sequence);
  co_return co_await task;
}

Task<PromptResult> Skills::dispatch(const SinglePrompt &prompt, const GenerationSettings &settings,
                                    const TextListener &listener, Sequence &sequence) const {
  struct Dispatch {
    const Skills &skills;
    const GenerationSettings &settings;
    const TextListener &listener;
    Sequence &sequence;
    Task<PromptResult> operator()(const CaptionPrompt &p) const {
      return skills.caption(p, settings, listener, sequence);
    }
    Task<PromptResult> operator()(const QueryPrompt &p) const {
      return skills.query(p, settings, listener, sequence);
    }
    Task<PromptResult> operator()(const DetectPrompt &p) const {
      return skills.detect(p, settings, sequence);
    }
    Task<PromptResult> operator()(const PointPrompt &p) const {
      return skills.point(p, settings, sequence);
    }
    Task<PromptResult> operator()(const GazePrompt &p) const { return skills.gaze(p, sequence); }
    Task<PromptResult> operator()(const SegmentPrompt &p) const {
      return skills.segment(p, settings, sequence);
    }
  };
  return std::visit(Dispatch{*this, settings, listener, sequence}, prompt);
}

at::Tensor Skills::embed_text(const std::string &text) const {
  std::vector<std::int64_t> ids;
  append(ids, tokenizer_.encode(text));
  return text_.embed(ids);
}

// Port of _encode_spatial_refs: a box is its centre and its size.
at::Tensor Skills::spatial_refs(const std::vector<std::variant<Point, Box>> &refs) const {
  require_region();
  std::vector<at::Tensor> rows;
  for (const auto &ref : refs) {
    if (const auto *point = std::get_if<Point>(&ref)) {
      rows.push_back(region_.encode_coordinate(point->x));
      rows.push_back(region_.encode_coordinate(point->y));
    } else {
      const Box &box = std::get<Box>(ref);
      rows.push_back(region_.encode_coordinate((box.x_min + box.x_max) / 2));
      rows.push_back(region_.encode_coordinate((box.y_min + box.y_max) / 2));
      rows.push_back(region_.encode_size(box.x_max - box.x_min, box.y_max - box.y_min));
    }
  }
  return at::cat(rows);
}

at::Tensor Skills::object_prompt(const std::optional<AffixTemplate> &affixes,
                                 const std::string &object, const char *skill) const {
  if (!affixes) throw untrained(skill);
  require_region();
  if (object.empty()) throw missing("object");
  std::vector<std::int64_t> ids = affixes->prefix;
  append(ids, tokenizer_.encode((config_.leading_space_in_object ? " " : "") + object));
  append(ids, affixes->suffix);
  return text_.embed(ids);
}

Task<PromptResult> Skills::caption(CaptionPrompt prompt, const GenerationSettings &settings,
                                   const TextListener &listener, Sequence &sequence) const {
  if (!config_.templates.caption) throw untrained("captions");
  const CaptionTemplates &lengths = *config_.templates.caption;
  const TokenIds &ids = prompt.length == CaptionLength::kShort    ? lengths.short_form
                        : prompt.length == CaptionLength::kNormal ? lengths.normal
                                                                  : lengths.long_form;
  if (ids.empty()) throw untrained("captions of this length");
  at::Tensor embeddings = text_.embed(ids);
  // In a statement of its own: GCC 12 destroys what is awaited inside an initialiser twice.
  std::string text = co_await generate_answer(std::move(embeddings), settings, listener, sequence);
  co_return CaptionResult{std::move(text)};
}

Task<PromptResult> Skills::query(const QueryPrompt &prompt, const GenerationSettings &settings,
                                 const TextListener &listener, Sequence &sequence) const {
  if (!config_.templates.query) throw untrained("questions");
  if (prompt.question.empty()) throw missing("question");
  if (prompt.reasoning && config_.thinking_id == kNoId) throw untrained("reasoning");
  const AffixTemplate &affixes = *config_.templates.query;

  std::vector<std::int64_t> before;
  if (!sequence.has_prefix()) before.push_back(config_.bos_id);
  append(before, affixes.prefix);
  std::vector<std::int64_t> after;
  append(after, tokenizer_.encode((config_.leading_space_in_query ? " " : "") + prompt.question));
  if (!prompt.reasoning || config_.suffix_before_thinking) append(after, affixes.suffix);
  if (prompt.reasoning) {
    after.push_back(config_.thinking_id);
  } else if (config_.double_query_suffix) {
    append(after, affixes.suffix);
  }
  std::vector<at::Tensor> parts = {text_.embed(before)};
  if (!prompt.spatial_refs.empty()) parts.push_back(spatial_refs(prompt.spatial_refs));
  parts.push_back(text_.embed(after));
  at::Tensor embeddings = at::cat(parts);

  QueryResult result;
  if (prompt.reasoning) {
    result.reasoning =
        co_await generate_reasoning(std::move(embeddings), settings, listener, sequence);
    embeddings = text_.embed(affixes.suffix);
  }
  result.answer = co_await generate_answer(std::move(embeddings), settings, listener, sequence);
  co_return result;
}

Task<PromptResult> Skills::detect(const DetectPrompt &prompt, const GenerationSettings &settings,
                                  Sequence &sequence) const {
  at::Tensor embeddings = object_prompt(config_.templates.detect, prompt.object, "detect");
  const std::vector<Found> found =
      co_await generate_points(std::move(embeddings), true, false, settings, sequence);
  DetectResult result;
  for (const Found &object : found) {
    result.objects.push_back({{object.x - object.width / 2, object.y - object.height / 2,
                               object.x + object.width / 2, object.y + object.height / 2},
                              object.score});
  }
  co_return result;
}

Task<PromptResult> Skills::point(const PointPrompt &prompt, const GenerationSettings &settings,
                                 Sequence &sequence) const {
  at::Tensor embeddings = object_prompt(config_.templates.point, prompt.object, "point");
  const std::vector<Found> found =
      co_await generate_points(std::move(embeddings), false, false, settings, sequence);
  PointResult result;
  for (const Found &object : found) result.points.push_back({{object.x, object.y}, object.score});
  co_return result;
}

// Port of _detect_gaze. The prompt is text in every generation of the model.
Task<PromptResult> Skills::gaze(const GazePrompt &prompt, Sequence &sequence) const {
  require_region();
  require(!prompt.face, "a single generation looks from a point, not from a face");
  const GenerationSettings one{.max_objects = 1};
  at::Tensor embeddings =
      at::cat({embed_text("\n\nPoint:"), region_.encode_coordinate(prompt.eye.x),
               region_.encode_coordinate(prompt.eye.y), embed_text(" gaze\n\n")});
  const std::vector<Found> found =
      co_await generate_points(std::move(embeddings), false, prompt.force_detect, one, sequence);
  GazeResult result;
  if (!found.empty()) result.gaze = Point{found[0].x, found[0].y};
  co_return result;
}

// Greedy, as the outlines are trained: what belongs to them is told by the kind of each token.
Task<PromptResult> Skills::segment(const SegmentPrompt &prompt, const GenerationSettings &settings,
                                   Sequence &sequence) const {
  if (!config_.templates.segment) {
    throw Error(ErrorKind::kSettings,
                "this model has no template for outlines: only Moondream 3 draws them");
  }
  require_region();
  if (prompt.object.empty()) throw missing("object");
  std::vector<at::Tensor> parts = {text_.embed(config_.templates.segment->prefix)};
  if (!prompt.spatial_refs.empty()) parts.push_back(spatial_refs(prompt.spatial_refs));
  std::vector<std::int64_t> after;
  append(after, tokenizer_.encode(prompt.object));
  append(after, config_.templates.segment->suffix);
  parts.push_back(text_.embed(after));

  std::vector<double> coordinates;
  std::optional<std::pair<double, double>> size;
  std::vector<std::string> path;
  co_await sequence.advance(at::cat(parts));
  for (int generated = 1;; ++generated) {
    const at::Tensor logits = co_await sequence.logits();
    const std::int64_t token = logits.argmax().item<std::int64_t>();
    sequence.observe("token", token);
    if (ends_text(token)) break;
    at::Tensor next;
    if (token == config_.coord_id) {
      const double value = co_await generate_coordinate(sequence);
      coordinates.push_back(value);
      next = region_.encode_coordinate(value);
    } else if (token == config_.size_id) {
      const auto [width, height] = co_await generate_size(sequence);
      if (!size) size.emplace(width, height);
      next = region_.encode_size(width, height);
    } else {
      if (token > kLastCommand && tokenizer_.contains(static_cast<int>(token))) {
        const int id = static_cast<int>(token);
        std::string text = stripped(tokenizer_.decode({&id, 1}));
        if (!text.empty()) path.push_back(std::move(text));
      }
      next = text_.embed({&token, 1});
    }
    if (generated == settings.max_tokens || sequence.room() == 0) break;
    co_await sequence.advance(std::move(next));
  }
  SegmentResult result;
  if (coordinates.size() >= 2 && size) {
    result.box = Box{coordinates[0] - size->first / 2, coordinates[1] - size->second / 2,
                     coordinates[0] + size->first / 2, coordinates[1] + size->second / 2};
  }
  result.path = svg_path_of_tokens(path).value_or("");
  co_return result;
}

Task<double> Skills::generate_coordinate(Sequence &sequence) const {
  const at::Tensor logits = co_await sequence.coordinate();
  const std::int64_t bin = logits.argmax().item<std::int64_t>();
  sequence.observe("bin", bin);
  co_return region_.coordinate_of_bin(bin);
}

Task<std::pair<double, double>> Skills::generate_size(Sequence &sequence) const {
  const at::Tensor logits = co_await sequence.size();
  const at::Tensor bins = logits.argmax(-1).cpu();
  const std::int64_t width = bins[0].item<std::int64_t>();
  const std::int64_t height = bins[1].item<std::int64_t>();
  sequence.observe("bin", width);
  sequence.observe("bin", height);
  const std::pair size(region_.size_of_bin(width), region_.size_of_bin(height));
  co_return size;
}

// Port of _generate_answer. The reference runs the text model once more after the last token that
// fits max_tokens, and looks at nothing of it: that step is left out.
Task<std::string> Skills::generate_answer(at::Tensor prompt, const GenerationSettings &settings,
                                          const TextListener &listener, Sequence &sequence) const {
  Sampler sample(settings);
  TextStream text(tokenizer_, config_.strip_text);
  co_await sequence.advance(std::move(prompt));
  at::Tensor logits = co_await sequence.logits();
  for (int generated = 1;; ++generated) {
    const std::int64_t token = sample(logits);
    sequence.observe("token", token);
    if (ends_text(token)) break;
    tell(listener, text.add(static_cast<int>(token)), false);
    if (generated == settings.max_tokens || sequence.room() == 0) break;
    co_await sequence.advance(text_.embed({&token, 1}));
    logits = co_await sequence.logits();
    if (config_.answer_id != kNoId) logits[config_.answer_id].fill_(kNever);
  }
  tell(listener, text.end(), false);
  co_return text.text();
}

// Port of _generate_reasoning.
Task<Reasoning> Skills::generate_reasoning(at::Tensor prompt, const GenerationSettings &settings,
                                           const TextListener &listener, Sequence &sequence) const {
  Reasoning reasoning;
  // The text is that of chunks, each of which may have places of its own.
  TextStream chunk(tokenizer_, config_.strip_text);
  std::vector<double> coordinates;
  const auto end_chunk = [&] {
    tell(listener, chunk.end(), true);
    const std::size_t start = code_points(reasoning.text);
    reasoning.text += chunk.text();
    if (coordinates.size() > 1) {
      Grounding grounding{start, code_points(reasoning.text), {}};
      for (std::size_t i = 0; i + 1 < coordinates.size(); i += 2) {
        grounding.points.push_back({coordinates[i], coordinates[i + 1]});
      }
      reasoning.grounding.push_back(std::move(grounding));
    }
    chunk = TextStream(tokenizer_, config_.strip_text);
    coordinates.clear();
  };

  Sampler sample(settings);
  co_await sequence.advance(std::move(prompt));
  at::Tensor logits = co_await sequence.logits();
  for (int generated = 0;; ++generated) {
    const std::int64_t token = sample(logits);
    sequence.observe("token", token);
    // One position must stay for the token that asks for the answer.
    if (token == config_.answer_id || generated == settings.max_tokens || sequence.room() <= 1) {
      break;
    }
    if (token == config_.start_ground_points_id || token == config_.end_ground_id) end_chunk();
    tell(listener, chunk.add(static_cast<int>(token)), true);
    at::Tensor next;
    if (token == config_.coord_id) {
      const double value = co_await generate_coordinate(sequence);
      coordinates.push_back(value);
      next = region_.encode_coordinate(value);
    } else {
      next = text_.embed({&token, 1});
    }
    co_await sequence.advance(std::move(next));
    logits = co_await sequence.logits();
    logits[config_.eos_id].fill_(kNever);
    if (config_.size_id != kNoId) logits[config_.size_id].fill_(kNever);
  }
  end_chunk();
  co_return reasoning;
}

// Port of _generate_points.
Task<std::vector<Skills::Found>> Skills::generate_points(at::Tensor prompt, bool with_size,
                                                         bool forced,
                                                         const GenerationSettings &settings,
                                                         Sequence &sequence) const {
  const int steps = with_size ? 3 : 2;  // of the text model for each object
  std::vector<Found> found;
  co_await sequence.advance(std::move(prompt));
  while (true) {
    const at::Tensor logits = co_await sequence.logits();
    const double coord =
        config_.coord_id != kNoId ? logits[config_.coord_id].item<double>() : kNever;
    const double end = logits[config_.eos_id].item<double>();
    // The first choice is among all tokens in every generation of the model.
    const std::int64_t token = found.empty() || !config_.coord_or_eos
                                   ? logits.argmax().item<std::int64_t>()
                               : coord > end ? config_.coord_id
                                             : config_.eos_id;
    sequence.observe("token", token);
    // Any other token begins an object: the model was trained to say nothing else here.
    if (token == config_.eos_id && !(forced && found.empty())) break;
    if (sequence.room() < steps) break;
    Found object{};
    object.score = config_.coord_or_eos
                       ? 1.0 / (1.0 + std::exp(end - coord))
                       : 1.0 - at::softmax(logits, -1)[config_.eos_id].item<double>();

    object.x = co_await generate_coordinate(sequence);
    co_await sequence.advance(region_.encode_coordinate(object.x));
    object.y = co_await generate_coordinate(sequence);
    co_await sequence.advance(region_.encode_coordinate(object.y));
    if (with_size) {
      const std::pair<double, double> size = co_await generate_size(sequence);
      object.width = size.first;
      object.height = size.second;
    }
    const auto is_there = [&object](const Found &other) { return other.is_where(object); };
    if (settings.stop_at_duplicates && std::ranges::any_of(found, is_there)) break;
    found.push_back(object);
    if (std::cmp_greater_equal(found.size(), settings.max_objects)) break;
    if (with_size) co_await sequence.advance(region_.encode_size(object.width, object.height));
  }
  co_return found;
}

}  // namespace moondream
