#include "tokenizer_decoder.h"

#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "files.h"
#include "tokenizer_byte_level.h"
#include "tokenizer_growth.h"
#include "tokenizer_pattern.h"
#include "utf8.h"

namespace moondream {
namespace {

constexpr char kReplacement[] = "\uFFFD";

std::vector<std::string> byte_level(const std::vector<std::string> &tokens) {
  std::string bytes;
  for (const std::string &token : tokens) append_byte_level_bytes(token, bytes);
  return {to_valid_utf8(bytes)};
}

std::vector<std::string> fuse(const std::vector<std::string> &tokens) {
  std::string text;
  for (const std::string &token : tokens) text += token;
  return {text};
}

// The byte of a token such as "<0x0A>".
std::optional<char> fallback_byte(const std::string &token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned byte = 0;
  const auto [end, error] = std::from_chars(&token[3], &token[5], byte, 16);
  if (error != std::errc() || end != &token[5]) return std::nullopt;
  return static_cast<char>(byte);
}

// A run of byte tokens is one text, or where that is no UTF-8 one U+FFFD for each byte.
std::vector<std::string> byte_fallback(const std::vector<std::string> &tokens) {
  std::vector<std::string> texts;
  std::string run;
  const auto end_run = [&] {
    if (run.empty()) return;
    if (to_valid_utf8(run) == run) {
      texts.push_back(run);
    } else {
      texts.insert(texts.end(), run.size(), kReplacement);
    }
    run.clear();
  };
  for (const std::string &token : tokens) {
    if (const auto byte = fallback_byte(token)) {
      run += *byte;
    } else {
      end_run();
      texts.push_back(token);
    }
  }
  end_run();
  return texts;
}

Decoder make_replace(const JsonView &section) {
  section.allow_only({"type", "pattern", "content"});
  return [pattern = Pattern(section.at("pattern")),
          content = section.at("content").string()](std::vector<std::string> tokens) {
    std::size_t bytes = 0;
    for (std::string &token : tokens) {
      token = pattern.replace_all(token, content);
      check_grown(bytes += token.size());
    }
    return tokens;
  };
}

// Removes up to `start` and `stop` times the character `content` from the ends of each token.
Decoder make_strip(const JsonView &section) {
  section.allow_only({"type", "content", "start", "stop"});
  const std::string &content = section.at("content").string();
  std::size_t end = 0;
  if (!content.empty()) next_code_point(content, end);
  if (content.empty() || end != content.size()) {
    section.at("content").fail("expected one character, found " + quote(content));
  }
  const int start = section.at("start").integer(0, std::numeric_limits<int>::max());
  const int stop = section.at("stop").integer(0, std::numeric_limits<int>::max());
  return [content, start, stop](std::vector<std::string> tokens) {
    for (std::string &token : tokens) {
      std::string_view rest = token;
      for (int i = 0; i < start && rest.starts_with(content); ++i) {
        rest.remove_prefix(content.size());
      }
      for (int i = 0; i < stop && rest.ends_with(content); ++i) rest.remove_suffix(content.size());
      token = std::string(rest);
    }
    return tokens;
  };
}

Decoder make_sequence(const JsonView &section) {
  section.allow_only({"type", "decoders"});
  std::vector<Decoder> steps;
  const JsonView decoders = section.at("decoders");
  for (std::size_t i = 0; i < decoders.size(); ++i) {
    steps.push_back(make_decoder(decoders.element(i)));
  }
  return [steps = std::move(steps)](std::vector<std::string> tokens) {
    for (const Decoder &step : steps) {
      tokens = step(std::move(tokens));
      check_grown(tokens);
    }
    return tokens;
  };
}

}  // namespace

Decoder make_decoder(const JsonView &section) {
  const std::string &type = section.at("type").string();
  if (type == "Sequence") return make_sequence(section);
  if (type == "Replace") return make_replace(section);
  if (type == "Strip") return make_strip(section);
  if (type == "ByteLevel") {
    // These are settings of the pre-tokenizer of the same name; decoding does not depend on them.
    section.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return byte_level;
  }
  section.allow_only({"type"});
  if (type == "ByteFallback") return byte_fallback;
  if (type == "Fuse") return fuse;
  section.unsupported("type " + quote(type));
}

}  // namespace moondream
