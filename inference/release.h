// The releases of a model that have tensors of the same kind, and are used in different ways.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "config.h"

namespace moondream {

// Those that are used alike are one: the first of them.
enum class Release {
  kMoondream1,  // also Moondream 2 of 2024-03-04 and 2024-03-06
  k20240313,
  k20240402,  // also 2024-05-08
  k20240520,  // also 2024-07-23
  k20240826,
  k20250109,
  k20250327,  // also 2025-04-14
  k20250621,
  kMoondream3,
};

// The release called so, if there is one: "moondream1", "moondream3" or a date, "2025-04-14".
std::optional<Release> release_named(std::string_view name);

// All names that release_named() knows, for a message.
std::string release_names();

// The release that `templates`, as a file has them, were published with; nothing if none of them is
// a published one. Those of GPT-2's vocabulary have a long caption since 2025-03-27.
std::optional<Release> release_of(const Templates &templates);

// Sets what differs between releases: how pictures are cut, how the image is seen, the activation
// of the vision encoder, templates, special ids, and what sizes stand for.
void apply_release(Release release, Config &config);

// Which release the weights of `directory` are of, as far as they (their configuration, read off
// the shapes, in `config`) and the published program text beside them tell; nothing if that text is
// not there. `trained` says that the tensors have the training code's names, which all models of
// 2024 have and few later ones. Throws Error{kRead} if a file cannot be read. Thread-safety: safe.
std::optional<Release> find_release(const Config &config, bool trained,
                                    const std::filesystem::path &directory);

}  // namespace moondream
