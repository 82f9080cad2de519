// config.json: dimensions, ids and templates.
#include "config.h"

#include "target.h"

namespace {

using namespace moondream;
using namespace moondream::fuzz;

// What Config::validate() promises.
void check_promises(const Config &config) {
  const auto known = [&](std::int64_t id) { return id >= 0 && id < config.text.vocab_size; };
  require(known(config.tokenizer.bos_id) && known(config.tokenizer.eos_id), "ids are known");
  for (const auto &affixes : {config.tokenizer.templates.query, config.tokenizer.templates.detect,
                              config.tokenizer.templates.point}) {
    if (!affixes) continue;
    for (const std::int64_t id : affixes->prefix) require(known(id), "templates' ids are known");
    for (const std::int64_t id : affixes->suffix) require(known(id), "templates' ids are known");
  }
  const __int128 logits = __int128{config.text.dim} * config.text.vocab_size;
  const __int128 keys = __int128{config.text.n_layers} * config.text.max_context *
                        config.text.n_kv_heads * config.text.head_dim();
  const __int128 mlp = __int128{config.text.dim} * config.text.ff_dim * config.text.n_layers;
  require(logits > 0 && keys > 0 && mlp > 0, "dimensions are positive");
  require(logits <= INT64_MAX && keys <= INT64_MAX && mlp <= INT64_MAX,
          "no product of dimensions overflows");
  require(config.prefix_length() <= config.text.max_context, "a picture fits the context");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const InputFile file("config.json");
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  // A parsed document takes some 20 bytes for the shortest value, an object's a tree's node.
  const std::size_t limit = 65536 + 128 * size;
  read_within(limit, [&] {
    const Config config = parse_config(text, "config.json");
    config.validate("config.json");
    check_promises(config);
  });
  read_within(limit, [&] { prompt_source(file.holding(text)); });
  return 0;
}
