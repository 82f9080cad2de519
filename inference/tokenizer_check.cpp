#include "tokenizer_check.h"

#include <algorithm>

#include "files.h"
#include "release.h"
#include "types.h"

namespace moondream {
namespace {

bool is_ids(const Tokenizer &tokenizer, const std::string &text, const TokenIds &ids) {
  return std::ranges::equal(tokenizer.encode(text), ids);
}

// The vocabulary of the models until 2025-04-14.
bool is_gpt2(const Tokenizer &tokenizer) {
  return is_ids(tokenizer, "\n\nQuestion:", {198, 198, 24361, 25}) &&
         is_ids(tokenizer, "\n\nAnswer:", {198, 198, 33706, 25});
}

// That of the models since, which has a token for what begins every prompt.
bool is_starmie(const Tokenizer &tokenizer) { return is_ids(tokenizer, "<|md_reserved_0|>", {1}); }

}  // namespace

void check_tokenizer(const TokenizerConfig &config, const Tokenizer &tokenizer,
                     const std::string &model) {
  if (!config.templates.query) return;
  const TokenIds &prefix = config.templates.query->prefix;
  const auto fail = [&](const std::string &what) {
    throw Error(ErrorKind::kMismatch, model + ": " + what);
  };
  Config gpt2, starmie;
  apply_release(Release::k20250327, gpt2);
  apply_release(Release::k20250621, starmie);
  if (prefix == starmie.tokenizer.templates.query->prefix && !is_starmie(tokenizer)) {
    const std::string found =
        is_gpt2(tokenizer) ? "that of older models" : "another one: it has no <|md_reserved_0|>";
    fail("the prompts are those of 2025-06-21 and later, but the tokenizer is " + found +
         ". If the model is of then, take tokenizer.json from moondream/starmie-v1 on Hugging Face "
         "(the snapshot of 2025-06-21 has an outdated one) and put it beside the weights or name "
         "it as the tokenizer. If it is an older one, name its release, here or in its "
         "config.json, {\"tokenizer\": {\"release\": \"2025-04-14\"}}: one of " +
         release_names());
  }
  if (prefix == gpt2.tokenizer.templates.query->prefix && !is_gpt2(tokenizer)) {
    fail(std::string("the prompts are those of models before 2025-06-21, but the tokenizer is ") +
         (is_starmie(tokenizer)
              ? "that of later ones"
              : "another one: it does not make " + quote("\\n\\nQuestion:") + " 198 198 24361 25"));
  }
}

}  // namespace moondream
