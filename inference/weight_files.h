// The files that together hold a model's weights.
#pragma once

#include <filesystem>
#include <vector>

#include "tensor_file.h"

namespace moondream {

// Opens what `path` stands for:
//  - a directory: its model.safetensors, else the shards of its model.safetensors.index.json, else
//    its only *.safetensors file, else its model.pt or only *.pt file;
//  - an index (*.index.json): the shards that it names, which lie beside it;
//  - anything else: one safetensors or PyTorch file.
// No tensor name is in two of the files, and every tensor of an index is in the shard given there.
// Throws Error: kNotFound if `path`, its weights or a shard is absent; kRead, naming the file, if
// one is invalid, the index does not fit the shards, or a directory leaves a choice.
std::vector<TensorFile> open_weights(const std::filesystem::path &path);

}  // namespace moondream
