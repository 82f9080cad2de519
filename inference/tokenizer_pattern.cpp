#include "tokenizer_pattern.h"

#include <unicode/utext.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>

#include "files.h"
#include "tokenizer_growth.h"
#include "types.h"

namespace moondream {
namespace {

// For each single match. ICU's own stack limit of 8 MB is too little for one match over a long
// text without spaces. Time counts in ten thousands of steps: about a second in all.
constexpr std::int32_t kMatchStackBytes = 64 << 20;
constexpr std::int32_t kMatchTime = 3'000;

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)); }

// Returns what `expression` holds that ICU would read otherwise than Oniguruma, or nothing.
std::optional<std::string> ambiguous_construct(std::string_view expression) {
  int class_depth = 0;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '\\' && i + 1 < expression.size()) {
      const char escaped = expression[++i];
      if (escaped == 'h' || escaped == 'H') return std::string{'\\', escaped};
      // The braces of \p{...} and the like are no interval.
      if (i + 1 < expression.size() && expression[i + 1] == '{' && is_letter(escaped)) {
        i = std::min(expression.find('}', i), expression.size());
      }
    } else if (c == '[') {
      ++class_depth;
    } else if (c == ']') {
      class_depth -= class_depth > 0;
    } else if (class_depth > 0) {
      continue;
    } else if (c == '{') {
      // Possessive to ICU, repeated to Oniguruma.
      const std::size_t close = expression.find('}', i);
      if (close != expression.npos && expression.substr(close + 1, 1) == "+") {
        return std::string(expression.substr(i, close + 2 - i));
      }
    } else if (c == '(' && expression.substr(i + 1, 1) == "?") {
      // Inline flags other than i: m is "dot matches newline" to Oniguruma.
      std::size_t end = i + 2;
      while (end < expression.size() && (is_letter(expression[end]) || expression[end] == '-')) {
        if (expression[end] != 'i' && expression[end] != '-') {
          return std::string(expression.substr(i, end + 1 - i));
        }
        ++end;
      }
    }
  }
  return std::nullopt;
}

// Returns the compiled expression, or null and the reason why not.
std::shared_ptr<const icu::RegexPattern> compile(const std::string &expression,
                                                 std::string &reason) {
  UErrorCode status = U_ZERO_ERROR;
  UParseError where{};
  std::shared_ptr<const icu::RegexPattern> regex(
      icu::RegexPattern::compile(icu::UnicodeString::fromUTF8(expression),
                                 UREGEX_MULTILINE | UREGEX_UNIX_LINES, where, status));
  if (U_SUCCESS(status)) return regex;
  reason = std::string(u_errorName(status)) + " at character " + std::to_string(where.offset);
  return nullptr;
}

}  // namespace

Pattern::Pattern(const JsonView &section) {
  section.allow_only({"String", "Regex"});
  const auto literal = section.find("String");
  const auto expression = section.find("Regex");
  if (literal.has_value() == expression.has_value()) {
    section.fail("expected either \"String\" or \"Regex\"");
  }
  const JsonView &source = literal ? *literal : *expression;
  source_ = source.string();
  if (source_.empty()) source.unsupported("an empty pattern");
  if (literal) return;

  if (const auto construct = ambiguous_construct(source_)) {
    source.unsupported(quote(*construct) + " of the expression " + quote(source_));
  }
  std::string reason;
  regex_ = compile(source_, reason);
  if (!regex_) source.unsupported("the expression " + quote(source_) + " (" + reason + ")");
}

Pattern Pattern::regex(const std::string &expression) {
  Pattern pattern;
  pattern.source_ = expression;
  std::string reason;
  pattern.regex_ = compile(expression, reason);
  if (!pattern.regex_) throw Error(ErrorKind::kFailed, expression + ": " + reason);
  return pattern;
}

template <typename Visitor>
void Pattern::for_each_match(std::string_view text, Visitor visit) const {
  if (!regex_) {
    for (std::size_t begin = text.find(source_); begin != text.npos;
         begin = text.find(source_, begin + source_.size())) {
      visit(begin, begin + source_.size());
    }
    return;
  }
  UErrorCode status = U_ZERO_ERROR;
  const icu::LocalUTextPointer input(
      utext_openUTF8(nullptr, text.data(), static_cast<std::int64_t>(text.size()), &status));
  const std::unique_ptr<icu::RegexMatcher> matcher(regex_->matcher(status));
  if (U_SUCCESS(status)) {
    matcher->setStackLimit(kMatchStackBytes, status);
    matcher->setTimeLimit(kMatchTime, status);
    matcher->reset(input.getAlias());
    while (matcher->find(status) && U_SUCCESS(status)) {
      visit(static_cast<std::size_t>(matcher->start64(status)),
            static_cast<std::size_t>(matcher->end64(status)));
    }
  }
  if (U_FAILURE(status)) {
    throw Error(ErrorKind::kFailed, "tokenizer: the expression " + source_ +
                                        " fails on a text of " + std::to_string(text.size()) +
                                        " bytes: " + u_errorName(status));
  }
}

std::vector<Span> Pattern::find_matches(std::string_view text) const {
  if (text.empty()) return {{0, 0, false}};
  std::vector<Span> spans;
  std::size_t end_of_last = 0;
  bool any = false;
  for_each_match(text, [&](std::size_t begin, std::size_t end) {
    // Oniguruma's iteration has no empty match right behind another match; ICU's has.
    if (begin == end && any && begin == end_of_last) return;
    if (begin != end_of_last) spans.push_back({end_of_last, begin, false});
    spans.push_back({begin, end, true});
    end_of_last = end;
    any = true;
  });
  if (end_of_last != text.size()) spans.push_back({end_of_last, text.size(), false});
  return spans;
}

std::string Pattern::replace_all(std::string_view text, std::string_view content) const {
  std::string replaced;
  for (const Span &span : find_matches(text)) {
    replaced += span.match ? content : text.substr(span.begin, span.end - span.begin);
    check_grown(replaced.size());
  }
  return replaced;
}

}  // namespace moondream
