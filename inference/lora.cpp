#include "lora.h"

#include <ATen/ATen.h>

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "files.h"
#include "mapped_tensor.h"
#include "tensor_names.h"
#include "types.h"
#include "weight_files.h"

namespace moondream {
namespace {

// `name` without `prefix`, if it begins with that.
bool strip(std::string_view &name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

// What the service's fine-tunes call the parts of a block's MLP.
constexpr std::pair<std::string_view, std::string_view> kServiceParts[] = {
    {"up_a", "fc1.A"}, {"up_b", "fc1.B"}, {"down_a", "fc2.A"}, {"down_b", "fc2.B"}};

// Our name of a key such as "lora_state_dict.text_lora.dense.0.up_a".
std::optional<std::string> service_name(std::string_view key, const Config &config) {
  strip(key, "lora_state_dict.");
  // Their module has its parts under two names each.
  if (!strip(key, "text_lora.") && !strip(key, "_text.") && !strip(key, "vision_lora.")) {
    strip(key, "_vision.");
  }
  if (key == "proj_fc2.down") return "vision.proj_mlp.fc2.A";
  if (key == "proj_fc2.up") return "vision.proj_mlp.fc2.B";
  // Blocks of experts are counted from the first of them.
  const bool experts = config.text.moe && strip(key, "moe.");
  if (!experts && !strip(key, "dense.")) return std::nullopt;
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (error != std::errc()) return std::nullopt;
  key.remove_prefix(static_cast<std::size_t>(end - key.data()));
  if (!strip(key, ".")) return std::nullopt;
  const std::int64_t block = number + (experts ? config.text.moe->start_layer : 0);
  const std::string mlp =
      "text.blocks." + std::to_string(block) + ".mlp." + (experts ? "experts." : "");
  for (const auto &[part, name] : kServiceParts) {
    if (key == part) return mlp + std::string(name);
  }
  return std::nullopt;
}

// Our name of a key of either format, or the key itself.
std::string lora_name(std::string_view key, const Config &config) {
  if (auto name = service_name(key, config)) return *std::move(name);
  std::string name = canonical_name(key).name;
  constexpr std::string_view kParametrization = "parametrizations.weight.0.";
  const std::size_t at = name.find(kParametrization);
  if (at != name.npos) name.erase(at, kParametrization.size());
  return name;
}

// The linear layers that a variant may add to, with the shapes of their weights; those of a block's
// experts together.
std::map<std::string, std::vector<std::int64_t>> adaptable(const Config &config) {
  std::map<std::string, std::vector<std::int64_t>> layers;
  constexpr std::string_view kWeight = ".weight";
  Config unpacked = config;  // packed weights are added to as matrices are
  unpacked.text.group_size = 0;
  for (const ExpectedTensor &tensor : expected_tensors(unpacked)) {
    const std::string_view name = tensor.name;
    if (!name.ends_with(kWeight) || tensor.shape.size() != 2) continue;
    if (!name.starts_with("text.blocks.") && name != "vision.proj_mlp.fc2.weight") continue;
    layers.emplace(name.substr(0, name.size() - kWeight.size()), tensor.shape);
  }
  for (std::int64_t i = 0; i < config.text.n_layers; ++i) {
    if (!config.text.has_experts(i)) continue;
    const MoeConfig &moe = *config.text.moe;
    const std::string experts = "text.blocks." + std::to_string(i) + ".mlp.experts.";
    const std::int64_t dim = config.text.dim, inner = moe.expert_inner_dim;
    layers[experts + "fc1"] = {moe.num_experts, 2 * inner, dim};
    layers[experts + "fc2"] = {moe.num_experts, dim, inner};
  }
  return layers;
}

// Whether the name is of the MLP of a block that has experts instead.
bool is_of_experts(const std::string &name, const Config &config) {
  for (std::int64_t i = 0; i < config.text.n_layers; ++i) {
    const std::string mlp = "text.blocks." + std::to_string(i) + ".mlp.fc";
    if (config.text.has_experts(i) && name.starts_with(mlp)) return true;
  }
  return false;
}

}  // namespace

LoraTensors load_lora(const std::filesystem::path &path, const Config &config) {
  const auto mismatch = [&path](const std::string &what) {
    throw Error(ErrorKind::kMismatch, path.string() + ": " + what);
  };
  LoraTensors tensors;
  const std::vector<TensorFile> files = open_weights(path);
  std::map<std::string, std::size_t> begins;
  for (const TensorFile &file : files) {
    for (const auto &[key, entry] : file.tensors()) {
      std::string name = lora_name(key, config);
      if (is_of_experts(name, config)) continue;
      const auto [other, is_new] = begins.emplace(name, entry.begin);
      if (is_new) {
        const std::string text = path.string() + ": " + quote(key);
        tensors.emplace(std::move(name), mapped_tensor(file, entry, text));
      } else if (other->second != entry.begin || &file != &files.front()) {
        mismatch(quote(key) + " is there twice, as two tensors");
      }
    }
  }
  if (tensors.empty()) mismatch("holds no tensors");

  const auto layers = adaptable(config);
  const auto found_text = [](const std::string &name, const at::Tensor &tensor) {
    return quote(name) + ", " + shape_text(tensor.sizes()) + " of " +
           c10::toString(tensor.scalar_type()) + ",";
  };
  for (const auto &[name, tensor] : tensors) {
    const bool is_a = name.ends_with(".A"), is_b = name.ends_with(".B");
    const std::string layer = name.substr(0, name.size() < 2 ? 0 : name.size() - 2);
    const auto known = layers.find(layer);
    if ((!is_a && !is_b) || known == layers.end()) {
      mismatch("is not a LoRA variant of this model, which has nothing that " + quote(name) +
               " could be for");
    }
    const auto other = tensors.find(layer + (is_a ? ".B" : ".A"));
    if (other == tensors.end()) {
      mismatch(quote(name) + " is without " + quote(layer + (is_a ? ".B" : ".A")));
    }
    // A is [rank, in], B is [out, rank].
    const std::vector<std::int64_t> &weight = known->second;
    std::vector<std::int64_t> expected = weight;
    const std::size_t rank_axis = weight.size() - (is_a ? 2 : 1);
    const bool same_dims = tensor.dim() == static_cast<std::int64_t>(weight.size());
    if (same_dims) expected[rank_axis] = tensor.size(static_cast<std::int64_t>(rank_axis));
    const bool rank_fits = same_dims && other->second.dim() == tensor.dim() &&
                           expected[rank_axis] > 0 &&
                           other->second.size(tensor.dim() - (is_a ? 1 : 2)) == expected[rank_axis];
    if (!rank_fits || tensor.sizes() != at::IntArrayRef(expected) || !tensor.is_floating_point()) {
      mismatch(found_text(name, tensor) + " does not fit the weight " + shape_text(weight) +
               " and its other half " + found_text(other->first, other->second) +
               " expected [rank, in] and [out, rank], of each expert if there are any, of a "
               "floating-point type");
    }
  }
  return tensors;
}

}  // namespace moondream
