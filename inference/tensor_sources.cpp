#include "tensor_sources.h"

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

bool contains(const std::string &text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// What only Moondream 3 has: experts, tau attention, single-layer region decoders.
bool is_moondream3(const std::string &name) {
  // The training layout's names stay where the Moondream 2 model has nothing of the kind.
  if (name.starts_with("text.blocks.") || name.starts_with("text_model.transformer.h.")) {
    for (const char *part : {".router.", ".gate.", "experts.", ".attn.tau", ".tau_"}) {
      if (contains(name, part)) return true;
    }
    return false;
  }
  return name == "region.coord_decoder.weight" || name.starts_with("region_model.coordinate_head.");
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

void check_kind(const TensorSources &sources, const std::filesystem::path &path) {
  const TensorSource *moondream3 = nullptr, *fp8 = nullptr, *int4 = nullptr;
  bool any_known = false;
  for (const auto &[name, source] : sources) {
    const DType dtype = source.entry->dtype;
    if (is_moondream3(name)) moondream3 = &source;
    if (dtype == DType::kF8E4M3 || dtype == DType::kF8E5M2) fp8 = &source;
    if (name.ends_with(".weight.packed")) int4 = &source;
    any_known = any_known || name.starts_with("text.") || name.starts_with("vision.");
  }
  const auto fail = [&path](const std::string &what, const TensorSource &source) {
    mismatch(path, what + " (it has " + source_text(source) + "), which is not supported");
  };
  if (moondream3) {
    fail(fp8 ? "is a Moondream 3 model in FP8" : "is a Moondream 3 model", *moondream3);
  }
  if (fp8) fail("has weights in FP8", *fp8);
  if (int4) fail("is a model with packed 4-bit weights", *int4);
  if (!any_known) {
    mismatch(path, sources.empty()
                       ? "holds no tensors"
                       : "is not a Moondream model: its tensors have other names, such as " +
                             source_text(sources.begin()->second));
  }
}

}  // namespace moondream
