#include "checkpoint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "config_from_shapes.h"
#include "files.h"
#include "mapped_tensor.h"
#include "quantized_weights.h"
#include "release.h"
#include "tensor_sources.h"
#include "types.h"
#include "weight_files.h"

namespace moondream {
namespace {

using Tensors = std::map<std::string, at::Tensor>;

std::string text_of(const std::filesystem::path &path) {
  return path.empty() ? "weights" : path.string();
}

[[noreturn]] void mismatch(const std::filesystem::path &path, const std::string &what) {
  throw Error(ErrorKind::kMismatch, text_of(path) + ": " + what);
}

// Faults of one kind, a few of them by name.
class Faults {
 public:
  void add(const std::string &text) {
    if (++count_ <= kMaxNamed) named_ += (named_.empty() ? "" : ", ") + text;
  }

  std::size_t count() const { return count_; }

  // "; 3 missing (a, b, c)", or nothing if there are none.
  std::string text(const std::string &kind) const {
    if (count_ == 0) return {};
    std::string text = "; " + std::to_string(count_) + " " + kind + " (" + named_;
    if (count_ > kMaxNamed) text += " and " + std::to_string(count_ - kMaxNamed) + " more";
    return text + ")";
  }

 private:
  static constexpr std::size_t kMaxNamed = 4;
  std::size_t count_ = 0;
  std::string named_;
};

// Throws unless `tensors` are exactly the expected ones.
void check_complete(const Config &config, const Tensors &tensors, const std::filesystem::path &path,
                    const std::map<std::string, std::string> &sources) {
  const auto found_text = [&sources](const std::string &name, const at::Tensor &tensor) {
    std::string text = quote(name) + " is ";
    text += !tensor.defined()
                ? "undefined"
                : shape_text(tensor.sizes()) + " of " + c10::toString(tensor.scalar_type());
    const auto source = sources.find(name);
    if (source != sources.end() && source->second != quote(name)) text += " as " + source->second;
    return text;
  };

  Faults missing, misshapen, unexpected;
  std::set<std::string> expected;
  for (const auto &[name, shape, bytes] : expected_tensors(config)) {
    const char *type = bytes ? " of bytes" : " of a floating-point type";
    if (name.starts_with("text.") && shape.size() >= 2 && quantized_form(tensors, name)) {
      std::vector<std::string> parts;
      const std::string fault = check_quantized(tensors, name, shape, parts);
      if (!fault.empty()) misshapen.add(fault);
      expected.insert(parts.begin(), parts.end());
      continue;
    }
    expected.insert(name);
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      missing.add(quote(name) + " " + shape_text(shape));
      continue;
    }
    const at::Tensor &tensor = found->second;
    if (tensor.defined() && tensor.sizes() == at::IntArrayRef(shape) &&
        (bytes ? tensor.scalar_type() == at::kByte : tensor.is_floating_point())) {
      continue;
    }
    misshapen.add(found_text(name, tensor) + ", expected " + shape_text(shape) + type);
  }
  for (const auto &[name, tensor] : tensors) {
    if (!expected.contains(name)) unexpected.add(found_text(name, tensor));
  }
  if (missing.count() + misshapen.count() + unexpected.count() == 0) return;
  const std::string text = misshapen.text("of another shape or type") + missing.text("missing") +
                           unexpected.text("too many");
  mismatch(path, "the tensors do not fit the configuration: " + text.substr(2));
}

// Sets what the file's own templates do not say: by the release that they were published with, of
// GPT-2's vocabulary rather by `release`, which the weights and what lies beside them tell. Skills
// without a template are absent if the templates are nobody's.
void use_templates(const std::filesystem::path &file, std::optional<Release> release,
                   Config &config) {
  const Templates none{{}, {}, {}, {}, {}};
  Config plain = config;
  plain.tokenizer.templates = none;
  const Templates own = read_config(file, plain).tokenizer.templates;
  const auto published = release_of(own);
  if (release == Release::kMoondream3) {
    apply_release(*release, config);
  } else if (published && *published < Release::k20250621) {
    apply_release(release && *release < Release::k20250621 ? *release : *published, config);
  }
  const bool any = own.caption || own.query || own.detect || own.point || own.segment;
  if (any && !published) config.tokenizer.templates = none;
}

// The configuration for weights at `path`. chosen: the release that the caller says they are of.
Config find_config(const TensorSources &sources, const std::filesystem::path &path,
                   std::optional<Release> chosen) {
  std::error_code ignored;  // what cannot be looked at cannot be opened: the weights said so
  const std::filesystem::path file =
      (std::filesystem::is_directory(path, ignored) ? path : path.parent_path()) / "config.json";
  Config from_shapes = config_from_shapes(sources);
  const bool is_three = from_shapes.text.tau_attn || from_shapes.text.moe;
  if (chosen && is_three != (*chosen == Release::kMoondream3)) {
    mismatch(path, is_three ? "is a Moondream 3, and not of the release that is named"
                            : "is no Moondream 3, which the release that is named is");
  }
  const bool has_file = std::filesystem::exists(file, ignored);
  const PromptSource prompts = chosen ? PromptSource::kRelease : prompt_source(file);
  const auto release = find_release(from_shapes, has_training_names(sources), file.parent_path());
  if (prompts == PromptSource::kTemplates) {
    use_templates(file, release, from_shapes);
  } else if (release && prompts == PromptSource::kNone) {
    apply_release(*release, from_shapes);
  } else if (prompts == PromptSource::kNone && from_shapes.vision.cropping == Cropping::kWhole) {
    mismatch(path,
             "is a Moondream of early 2024, but the weights do not tell which: put its "
             "moondream.py beside them, name its release, or put {\"tokenizer\": {\"release\": "
             "...}} with one of " +
                 release_names() + " into " + file.string());
  } else if (is_three) {
    apply_release(Release::kMoondream3, from_shapes);
  }
  Config config = from_shapes;
  if (has_file) {
    config = read_config(file, from_shapes, chosen);
  } else if (chosen) {
    apply_release(*chosen, config);
  }

  const auto check_heads = [&](const char *field, std::int64_t n_heads) {
    // A value of the file's own is checked by validate().
    if (n_heads != 0 || has_file) return;
    mismatch(path, std::string(field) + " cannot be read off the weights, and there is no " +
                       file.string() + " to give it");
  };
  check_heads("text.n_heads", config.text.n_heads);
  check_heads("vision.enc_n_heads", config.vision.enc_n_heads);
  config.validate(has_file ? file.string() : path.string());
  return config;
}

at::Tensor make_tensor(const std::string &name, const TensorSource &source,
                       const std::filesystem::path &path) {
  TensorEntry entry = *source.entry;
  // Eight numbers of 4 bits in one of 32, the first in the lowest bits: bytes of two each.
  if (name.ends_with(".weight.affine") && entry.dtype == DType::kU32 && entry.strides.empty() &&
      !entry.shape.empty()) {
    entry.dtype = DType::kU8;
    entry.shape.back() *= 4;
  }
  const at::Tensor tensor =
      mapped_tensor(*source.file, entry, path.string() + ": " + source_text(source));
  return source.transposed && tensor.dim() == 2 ? tensor.t().contiguous() : tensor;
}

// Newer files have the two halves of a block's tau weights as one tensor.
void split_tau(const Config &config, Tensors &tensors) {
  for (std::int64_t i = 0; i < config.text.n_layers; ++i) {
    const std::string tau = "text.blocks." + std::to_string(i) + ".attn.tau.";
    const auto both = tensors.find(tau + "wqwv");
    // One of another shape is reported as too many.
    if (both == tensors.end() || both->second.dim() != 2 ||
        both->second.size(0) != 2 * config.text.n_heads) {
      continue;
    }
    const at::Tensor wqwv = both->second;
    if (!tensors.emplace(tau + "wq", wqwv.narrow(0, 0, config.text.n_heads)).second ||
        !tensors.emplace(tau + "wv", wqwv.narrow(0, config.text.n_heads, config.text.n_heads))
             .second) {
      continue;
    }
    tensors.erase(both);
  }
}

}  // namespace

Checkpoint::Checkpoint(Config config, Tensors tensors, std::filesystem::path path,
                       const std::map<std::string, std::string> &sources)
    : path_(std::move(path)), config_(std::move(config)), tensors_(std::move(tensors)) {
  config_.validate(text_of(path_));
  check_complete(config_, tensors_, path_, sources);
}

std::string Checkpoint::quantized() const {
  std::string smallest;
  for (const auto &[name, tensor] : tensors_) {
    if (name.ends_with(".weight.int4")) return "int4";
    if (name.ends_with(".weight.int8")) smallest = "int8";
  }
  return smallest;
}

const at::Tensor &Checkpoint::tensor(const std::string &name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) mismatch(path_, "has no tensor " + quote(name));
  return found->second;
}

Checkpoint load_checkpoint(const std::filesystem::path &path, const std::string &release) {
  const std::optional<Release> chosen = release_named(release);
  if (!release.empty() && !chosen) {
    throw Error(ErrorKind::kSettings,
                "there is no release " + quote(release) + ": it is one of " + release_names());
  }
  const std::vector<TensorFile> files = open_weights(path);
  TensorSources sources = find_sources(files, path);
  check_kind(sources, path);
  drop_unused(sources);
  Config config = find_config(sources, path, chosen);

  Tensors tensors;
  std::map<std::string, std::string> texts;
  for (const auto &[name, source] : sources) {
    tensors.emplace(name, make_tensor(name, source, path));
    texts.emplace(name, source_text(source));
  }
  split_tau(config, tensors);
  return Checkpoint(std::move(config), std::move(tensors), path, texts);
}

}  // namespace moondream
