// A configuration as the text of a config.json.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "config.h"

namespace moondream {

// Every setting that parse_config() reads, defaults too: what it makes of this is `config` again,
// but for what the weights tell (text.moe.fp8 and int4, region.linear_decoders and layer_norm,
// has_region). Thread-safety: safe.
nlohmann::ordered_json config_json(const Config &config);

}  // namespace moondream
