#include "tokenizer_normalizer.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <utility>
#include <vector>

#include "files.h"
#include "tokenizer_growth.h"
#include "tokenizer_pattern.h"
#include "types.h"
#include "utf8.h"

namespace moondream {
namespace {

using GetForm = const icu::Normalizer2 *(*)(UErrorCode &);

void check(UErrorCode status) {
  if (U_FAILURE(status)) {
    throw Error(ErrorKind::kFailed, std::string("ICU normalization: ") + u_errorName(status));
  }
}

Normalizer unicode_form(GetForm get_form) {
  UErrorCode loaded = U_ZERO_ERROR;
  const icu::Normalizer2 *form = get_form(loaded);  // a singleton that ICU owns
  check(loaded);
  return [form](std::string text) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::UnicodeString normalized =
        form->normalize(icu::UnicodeString::fromUTF8(text), status);
    check(status);
    text.clear();
    return normalized.toUTF8String(text);
  };
}

// Each code point on its own, so that a capital sigma at the end of a word becomes the same small
// sigma as any other.
std::string lowercase(const std::string &text) {
  std::string lower;
  lower.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const auto code_point = static_cast<UChar32>(next_code_point(text, pos));
    icu::UnicodeString(code_point).toLower(icu::Locale::getRoot()).toUTF8String(lower);
  }
  return lower;
}

Normalizer sequence(const JsonView &section) {
  section.allow_only({"type", "normalizers"});
  std::vector<Normalizer> steps;
  const JsonView normalizers = section.at("normalizers");
  for (std::size_t i = 0; i < normalizers.size(); ++i) {
    steps.push_back(make_normalizer(normalizers.element(i)));
  }
  return [steps = std::move(steps)](std::string text) {
    for (const Normalizer &step : steps) {
      text = step(std::move(text));
      check_grown(text.size());
    }
    return text;
  };
}

}  // namespace

Normalizer make_normalizer(const JsonView &section) {
  const std::string &type = section.at("type").string();
  if (type == "Sequence") return sequence(section);
  if (type == "Prepend") {
    section.allow_only({"type", "prepend"});
    return [prefix = section.at("prepend").string()](std::string text) {
      return text.empty() ? text : prefix + text;
    };
  }
  if (type == "Replace") {
    section.allow_only({"type", "pattern", "content"});
    return [pattern = Pattern(section.at("pattern")), content = section.at("content").string()](
               const std::string &text) { return pattern.replace_all(text, content); };
  }
  section.allow_only({"type"});
  if (type == "NFC") return unicode_form(icu::Normalizer2::getNFCInstance);
  if (type == "NFD") return unicode_form(icu::Normalizer2::getNFDInstance);
  if (type == "NFKC") return unicode_form(icu::Normalizer2::getNFKCInstance);
  if (type == "NFKD") return unicode_form(icu::Normalizer2::getNFKDInstance);
  if (type == "Lowercase") return lowercase;
  section.unsupported("type " + quote(type));
}

}  // namespace moondream
