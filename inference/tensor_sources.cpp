#include "tensor_sources.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "files.h"
#include "tensor_names.h"
#include "types.h"

namespace moondream {
namespace {

[[noreturn]] void mismatch(const std::filesystem::path &path, const std::string &what) {
  throw Error(ErrorKind::kMismatch, path.string() + ": " + what);
}

}  // namespace

std::string source_text(const TensorSource &source) {
  return quote(*source.key) + " in " + source.file->path().filename().string();
}

TensorSources find_sources(const std::vector<TensorFile> &files,
                           const std::filesystem::path &path) {
  TensorSources sources;
  for (const TensorFile &file : files) {
    for (const auto &[key, entry] : file.tensors()) {
      auto [name, transposed] = canonical_name(key);
      const TensorSource source{&file, &key, &entry, transposed};
      const auto [other, is_new] = sources.emplace(std::move(name), source);
      if (!is_new) {
        mismatch(path, quote(other->first) + " is there twice: as " + source_text(other->second) +
                           " and as " + source_text(source));
      }
    }
  }
  return sources;
}

bool has_training_names(const TensorSources &sources) {
  const auto wte = sources.find("text.wte");
  return wte != sources.end() && wte->second.key->find("text_model.") != std::string::npos;
}

void drop_unused(TensorSources &sources) {
  const bool has_old_region = std::ranges::any_of(sources, [](const auto &source) {
    return source.first.starts_with("region_model.position_");
  });
  std::erase_if(sources, [&](const auto &source) {
    const std::string &name = source.first;
    if (name.starts_with("text_model.transformer.h.") && name.find(".kv_quantizer.") != name.npos) {
      return true;
    }
    // A table that follows from the configuration.
    if (name.ends_with(".rotary_emb.inv_freq")) return true;
    return has_old_region && (name.starts_with("region_model.") || name.starts_with("region."));
  });
}

void check_kind(const TensorSources &sources, const std::filesystem::path &path) {
  bool any_known = false;
  for (const auto &[name, source] : sources) {
    if (source.entry->dtype == DType::kF8E5M2) {
      mismatch(path, "has weights in FP8 of the kind E5M2 (" + source_text(source) +
                         "), which is not supported");
    }
    any_known = any_known || name.starts_with("text.") || name.starts_with("vision.");
  }
  if (!any_known) {
    mismatch(path, sources.empty()
                       ? "holds no tensors"
                       : "is not a Moondream model: its tensors have other names, such as " +
                             source_text(sources.begin()->second));
  }
}

}  // namespace moondream
