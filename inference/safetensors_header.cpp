#include "safetensors_header.h"

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "files.h"
#include "types.h"

namespace moondream {
namespace {

// Far more than any tensor has, and few enough that a shape fits a message.
constexpr std::size_t kMaxRank = 32;

// Builds the entries from the events of the JSON parser, which never recurses. Whatever the format
// does not have, such as deeper nesting, ends it at once.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::filesystem::path &path) : path_(path) {}

  std::map<std::string, TensorEntry> take() { return std::move(tensors_); }

  bool start_object(std::size_t) override {
    switch (state_) {
      case State::kStart:
        state_ = State::kTop;
        return true;
      case State::kTop:
        state_ = name_ == "__metadata__" ? State::kMetadata : State::kTensor;
        has_dtype_ = has_shape_ = false;
        offsets_.reset();
        entry_ = {};
        return true;
      default:
        fail("has an object where none may be");
    }
  }

  bool key(std::string &text) override {
    if (state_ == State::kTop) {
      name_ = std::move(text);
      if (name_ == "__metadata__" ? std::exchange(has_metadata_, true) : tensors_.contains(name_)) {
        fail("is there twice");
      }
    } else {
      key_ = std::move(text);
    }
    return true;
  }

  bool end_object() override {
    switch (state_) {
      case State::kTop:
        state_ = State::kEnd;
        return true;
      case State::kMetadata:
        state_ = State::kTop;
        return true;
      default:
        break;
    }
    if (!has_dtype_) fail("has no dtype");
    if (!has_shape_) fail("has no shape");
    if (!offsets_) fail("has no data_offsets");
    if (offsets_->size() != 2) fail("has data_offsets that are not two numbers");
    entry_.begin = offsets_->front();
    entry_.end = offsets_->back();
    tensors_.emplace(name_, std::move(entry_));
    state_ = State::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ == State::kTensor && key_ == "shape" && !std::exchange(has_shape_, true)) {
      state_ = State::kShape;
    } else if (state_ == State::kTensor && key_ == "data_offsets" && !offsets_) {
      offsets_.emplace();
      state_ = State::kOffsets;
    } else {
      fail_value("an array");
    }
    return true;
  }

  bool end_array() override {
    state_ = State::kTensor;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (state_ == State::kShape) {
      if (value > std::uint64_t{INT64_MAX}) fail("has a shape that is too large");
      if (entry_.shape.size() == kMaxRank) fail("has too many dimensions");
      entry_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (state_ == State::kOffsets) {
      if (offsets_->size() == 2) fail("has data_offsets that are not two numbers");
      offsets_->push_back(value);
    } else {
      fail_value("a number");
    }
    return true;
  }

  bool string(std::string &text) override {
    if (state_ == State::kMetadata) return true;
    if (state_ != State::kTensor || key_ != "dtype" || std::exchange(has_dtype_, true)) {
      fail_value("a string");
    }
    const std::optional<DType> dtype = dtype_named(text);
    if (!dtype) fail("has the unknown dtype " + quote(text));
    entry_.dtype = *dtype;
    return true;
  }

  bool null() override { fail_value("null"); }
  bool boolean(bool) override { fail_value("a boolean"); }
  bool number_integer(std::int64_t) override { fail_value("a negative number"); }
  bool number_float(double, const std::string &) override {
    fail_value("a number that is not whole or is too large");
  }
  bool binary(binary_t &) override { fail_value("binary data"); }

  bool parse_error(std::size_t position, const std::string &,
                   const nlohmann::detail::exception &) override {
    throw Error(ErrorKind::kRead, path_.string() + ": the header is not valid JSON at its byte " +
                                      std::to_string(position));
  }

 private:
  enum class State { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };

  [[noreturn]] void fail(const std::string &what) const {
    if (name_.empty() && tensors_.empty()) {
      throw Error(ErrorKind::kRead, path_.string() + ": the header " + what);
    }
    throw Error(ErrorKind::kRead, path_.string() + ": tensor " + quote(name_) + " " + what);
  }

  [[noreturn]] void fail_value(const std::string &what) const {
    switch (state_) {
      case State::kStart:
        fail("is not an object but " + what);
      case State::kShape:
        fail("has " + what + " in its shape");
      case State::kOffsets:
        fail("has " + what + " in its data_offsets");
      case State::kTop:
        fail("is not described by an object but by " + what);
      default:
        fail("has " + what + " as " + quote(key_) + ", or has that twice");
    }
  }

  const std::filesystem::path &path_;
  std::map<std::string, TensorEntry> tensors_;
  State state_ = State::kStart;
  bool has_metadata_ = false, has_dtype_ = false, has_shape_ = false;
  std::optional<std::vector<std::uint64_t>> offsets_;
  std::string name_, key_;  // of the tensor and of its value that are being read
  TensorEntry entry_;
};

}  // namespace

std::map<std::string, TensorEntry> parse_header(std::string_view text,
                                                const std::filesystem::path &path) {
  HeaderReader reader(path);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  return reader.take();
}

}  // namespace moondream
