#include "tokenizer_pre_tokenizer.h"

#include <utility>

#include "files.h"
#include "tokenizer_byte_level.h"
#include "tokenizer_growth.h"
#include "tokenizer_pattern.h"

namespace moondream {
namespace {

// GPT-2's cut into words.
constexpr char kByteLevelWords[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// What becomes of the matches of a Split.
enum class Behavior {
  kRemoved,             // dropped
  kIsolated,            // a word each
  kMergedWithPrevious,  // part of the gap before
  kMergedWithNext,      // part of the gap behind
  kContiguous,          // adjacent matches form one word
};

Behavior parse_behavior(const JsonView &behavior) {
  const std::string &name = behavior.string();
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  behavior.unsupported(quote(name));
}

// Whether two adjacent spans belong to the same word.
bool joins(Behavior behavior, const Span &left, const Span &right) {
  switch (behavior) {
    case Behavior::kRemoved:
    case Behavior::kIsolated:
      return false;
    case Behavior::kMergedWithPrevious:
      return right.match && !left.match;
    case Behavior::kMergedWithNext:
      return left.match && !right.match;
    case Behavior::kContiguous:
      return left.match == right.match;
  }
  return false;
}

// Appends the words of `text` to `words`.
void split(const std::string &text, const Pattern &pattern, Behavior behavior, bool invert,
           std::vector<std::string> &words) {
  std::vector<Span> spans = pattern.find_matches(text);
  std::size_t begin = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    spans[i].match ^= invert;
    if (i > 0 && !joins(behavior, spans[i - 1], spans[i])) begin = spans[i].begin;
    Span next = i + 1 < spans.size() ? spans[i + 1] : Span{};
    next.match ^= invert;
    const bool goes_on = i + 1 < spans.size() && joins(behavior, spans[i], next);
    const bool removed = behavior == Behavior::kRemoved && spans[i].match;
    if (!goes_on && !removed && begin < spans[i].end) {
      words.push_back(text.substr(begin, spans[i].end - begin));
    }
  }
}

PreTokenizer make_split(Pattern pattern, Behavior behavior, bool invert) {
  return [pattern = std::move(pattern), behavior, invert](const std::vector<std::string> &texts) {
    std::vector<std::string> words;
    for (const std::string &text : texts) split(text, pattern, behavior, invert, words);
    return words;
  };
}

PreTokenizer make_byte_level(const JsonView &section) {
  // trim_offsets concerns the positions of tokens in the text, which are not kept.
  section.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  const bool add_prefix_space = section.at("add_prefix_space").boolean();
  const auto use_regex = section.find("use_regex");
  PreTokenizer cut;
  if (!use_regex || use_regex->boolean()) {
    cut = make_split(Pattern::regex(kByteLevelWords), Behavior::kIsolated, false);
  }
  return [add_prefix_space, cut = std::move(cut)](std::vector<std::string> words) {
    if (add_prefix_space) {
      for (std::string &word : words) {
        if (!word.starts_with(' ')) word.insert(0, 1, ' ');
      }
    }
    if (cut) words = cut(std::move(words));
    for (std::string &word : words) word = to_byte_level(word);
    return words;
  };
}

PreTokenizer make_sequence(const JsonView &section) {
  section.allow_only({"type", "pretokenizers"});
  std::vector<PreTokenizer> steps;
  const JsonView pre_tokenizers = section.at("pretokenizers");
  for (std::size_t i = 0; i < pre_tokenizers.size(); ++i) {
    steps.push_back(make_pre_tokenizer(pre_tokenizers.element(i)));
  }
  return [steps = std::move(steps)](std::vector<std::string> words) {
    for (const PreTokenizer &step : steps) {
      words = step(std::move(words));
      check_grown(words);
    }
    return words;
  };
}

}  // namespace

PreTokenizer make_pre_tokenizer(const JsonView &section) {
  const std::string &type = section.at("type").string();
  if (type == "Sequence") return make_sequence(section);
  if (type == "ByteLevel") return make_byte_level(section);
  if (type == "Split") {
    section.allow_only({"type", "pattern", "behavior", "invert"});
    return make_split(Pattern(section.at("pattern")), parse_behavior(section.at("behavior")),
                      section.at("invert").boolean());
  }
  if (type == "Digits") {
    section.allow_only({"type", "individual_digits"});
    return make_split(
        Pattern::regex(R"(\p{N})"),
        section.at("individual_digits").boolean() ? Behavior::kIsolated : Behavior::kContiguous,
        false);
  }
  section.allow_only({"type"});
  if (type == "Whitespace") {
    return make_split(Pattern::regex(R"(\w+|[^\w\s]+)"), Behavior::kRemoved, true);
  }
  if (type == "WhitespaceSplit") {
    return make_split(Pattern::regex(R"(\s)"), Behavior::kRemoved, false);
  }
  section.unsupported("type " + quote(type));
}

}  // namespace moondream
