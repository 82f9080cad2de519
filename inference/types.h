// Plain types of the inference library: pictures and prompts in, words and coordinates out.
// No LibTorch and no GStreamer here, so that both sides can include it.
//
// Coordinates are fractions of the picture: (0, 0) is its top left corner, (1, 1) its bottom right
// one. They are passed on as the model decodes them, in double, not clamped.
// Thread-safety: values; share them const.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace moondream {

enum class ErrorKind {
  kSettings,   // a setting or prompt is missing, out of range or conflicts with another
  kNotFound,   // a file is absent
  kRead,       // a file is unreadable, truncated or corrupt
  kNoDevice,   // the requested device does not exist here
  kNoMemory,   // host or device memory ran out
  kMismatch,   // weights, configuration and tokenizer do not fit each other
  kCancelled,  // the caller cancelled the request, or a newer one replaced it
  kFailed,     // inference itself failed
};

// The only exception type that leaves this library. The text names the file, tensor, setting or
// value that is wrong, and is meant to be shown to a person.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string &text) : std::runtime_error(text), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

// A borrowed picture: 8-bit R, G, B interleaved, rows `stride` bytes apart, top row first.
struct ImageView {
  const std::uint8_t *data = nullptr;
  int width = 0;   // pixels, >= 1
  int height = 0;  // pixels, >= 1
  std::ptrdiff_t stride = 0;
};

// An owned picture of the same kind, rows tightly packed.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> pixels;  // [height, width, 3]

  ImageView view() const { return {pixels.data(), width, height, std::ptrdiff_t{3} * width}; }
};

struct Point {
  double x = 0, y = 0;

  bool operator==(const Point &) const = default;
};

struct Box {
  double x_min = 0, y_min = 0, x_max = 0, y_max = 0;

  bool operator==(const Box &) const = default;
};

// ---- Prompts ---------------------------------------------------------------------------------

enum class CaptionLength { kShort, kNormal, kLong };

struct CaptionPrompt {
  CaptionLength length = CaptionLength::kNormal;

  bool operator==(const CaptionPrompt &) const = default;
};

// A question about the picture, or about nothing where there is no picture.
struct QueryPrompt {
  std::string question;                                // UTF-8
  bool reasoning = false;                              // think, with grounding, before answering
  std::vector<std::variant<Point, Box>> spatial_refs;  // places that the question is about

  bool operator==(const QueryPrompt &) const = default;
};

struct DetectPrompt {
  std::string object;  // UTF-8 description, for example "red car"

  bool operator==(const DetectPrompt &) const = default;
};

struct PointPrompt {
  std::string object;

  bool operator==(const PointPrompt &) const = default;
};

// Where the person whose eyes are at `eye` looks, or whose face is `face`: then it is the mean of
// twenty looks from points of the face, drawn by the settings' seed, half of them in the mirrored
// picture, which is encoded, too. A face needs x_min <= x_max and y_min <= y_max.
struct GazePrompt {
  Point eye;
  bool force_detect = false;  // answer even if the model thinks the gaze leaves the picture
  std::optional<Box> face;

  bool operator==(const GazePrompt &) const = default;
};

// Where each face that the model finds looks.
struct FaceGazePrompt {
  bool operator==(const FaceGazePrompt &) const = default;
};

// The outline of an object. Moondream 3 only.
struct SegmentPrompt {
  std::string object;
  std::vector<std::variant<Point, Box>> spatial_refs;  // places that say which one is meant

  bool operator==(const SegmentPrompt &) const = default;
};

using Prompt = std::variant<CaptionPrompt, QueryPrompt, DetectPrompt, PointPrompt, GazePrompt,
                            FaceGazePrompt, SegmentPrompt>;

// What one generation of a model answers: all but the gazes of all faces, which are several.
using SinglePrompt =
    std::variant<CaptionPrompt, QueryPrompt, DetectPrompt, PointPrompt, GazePrompt, SegmentPrompt>;

struct GenerationSettings {
  // 0 = greedy; else >= 0, softmax temperature of the tokens of captions and answers
  double temperature = 0;
  double top_p = 0.3;      // (0, 1], nucleus of text tokens; no effect when greedy
  std::uint64_t seed = 0;  // of the sampler; equal seeds give equal texts
  int max_tokens = 768;    // >= 1, of each generated text or outline
  int max_objects = 50;    // >= 1, of each detect or point prompt
  // Detect and point prompts end where an object is exactly one that they found before: models may
  // repeat themselves until max_objects.
  bool stop_at_duplicates = false;

  bool operator==(const GenerationSettings &) const = default;
};

// ---- Results ---------------------------------------------------------------------------------

// A score is the probability, at the step that began the box or point, that there is another
// object: 1 - p(end of sequence) where the model chooses among all tokens (Moondream 2),
// p(coordinate) / (p(coordinate) + p(end)) where it compares the two (Moondream 3).
struct ScoredBox {
  Box box;
  double score = 0;  // [0, 1]
};

struct ScoredPoint {
  Point point;
  double score = 0;  // [0, 1]
};

// A stretch of a reasoning text and the places that it speaks of.
struct Grounding {
  std::size_t start_idx = 0, end_idx = 0;  // in Unicode code points of the text, end exclusive
  std::vector<Point> points;
};

struct Reasoning {
  std::string text;
  std::vector<Grounding> grounding;
};

struct CaptionResult {
  std::string text;  // valid UTF-8
};

struct QueryResult {
  std::string answer;  // valid UTF-8
  std::optional<Reasoning> reasoning;
};

struct DetectResult {
  std::vector<ScoredBox> objects;
};

struct PointResult {
  std::vector<ScoredPoint> points;
};

struct GazeResult {
  std::optional<Point> gaze;  // absent: the gaze leaves the picture
};

struct FaceGaze {
  ScoredBox face;
  Point eyes;                 // where the gaze begins
  std::optional<Point> gaze;  // absent: the gaze leaves the picture
};

struct FaceGazeResult {
  std::vector<FaceGaze> faces;
};

struct SegmentResult {
  // Around the object; absent: the model named none.
  std::optional<Box> box;
  // The outline: data of an SVG path whose coordinates are fractions of the box, (0, 0) its top
  // left corner. Empty: the model drew none, or nothing that can be read.
  std::string path;
  bool refined = false;  // by the model's refiner, from the picture
};

// Holds the alternative at the same position as its Prompt does.
using PromptResult = std::variant<CaptionResult, QueryResult, DetectResult, PointResult, GazeResult,
                                  FaceGazeResult, SegmentResult>;

// A part of a text that is being generated.
struct TextPiece {
  std::size_t prompt = 0;  // whose text it is: the index in the request's prompts
  bool reasoning = false;  // of QueryResult::reasoning, which comes first; else of what is answered
  std::string text;        // valid UTF-8, not empty, ends where a word or character does

  bool operator==(const TextPiece &) const = default;
};

// ---- Models ----------------------------------------------------------------------------------

// Number format of the weights. In kInt8 and kInt4 those of the text model's linear layers have 8
// or 4 bits, and all others are as in kAuto.
enum class Precision { kAuto, kFloat32, kBFloat16, kInt8, kInt4 };

// Which model, where and how. Two equal specs mean the same engine of a process.
struct ModelSpec {
  std::string model;            // directory, or .safetensors or .pt file
  std::string variant;          // LoRA variant of it: a directory or file; empty = none
  std::string tokenizer;        // overrides the tokenizer beside the weights; empty = that one
  std::string device = "auto";  // auto, cpu, cuda, cuda:N
  Precision precision = Precision::kAuto;
  // Of outlines, moondream/SegHeadRefiner: a directory or file; empty = none.
  std::string refiner;
  // The release to take the model for, such as "2025-04-14" (inference/README.md names them), above
  // all that its files say; empty = what they say.
  std::string release;

  auto operator<=>(const ModelSpec &) const = default;
};

// What was really loaded.
struct ModelInfo {
  std::string name;       // of the model's directory or file, "+" and its variant's if there is one
  std::string device;     // "cpu", "cuda:0"
  std::string precision;  // "float32", "bfloat16", "int8", "int4"
  std::uint64_t weight_bytes = 0;
};

}  // namespace moondream
