// Where a model's tensors are: which file holds each of them, under which name.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tensor_file.h"

namespace moondream {

// A tensor in a file. Points into the file, which must outlive it.
struct TensorSource {
  const TensorFile *file;
  const std::string *key;  // its name there
  const TensorEntry *entry;
  bool transposed;  // against the shape that this library expects
};

using TensorSources = std::map<std::string, TensorSource>;  // by canonical name

// The key and the file, for messages.
std::string source_text(const TensorSource &source);

// The tensors of all files, of which `path` is what the user named. Throws Error{kMismatch} if two
// are the same tensor in different layouts.
TensorSources find_sources(const std::vector<TensorFile> &files, const std::filesystem::path &path);

// Whether the files have the names of the training code.
bool has_training_names(const TensorSources &sources);

// Takes out what files hold and no model here uses: the scales of caches of 8-bit keys and values,
// tables of frequencies, and what moondream2 of early 2024 had for places, which no release of it
// ever asked.
void drop_unused(TensorSources &sources);

// Throws Error{kMismatch}, saying what it is, if the files hold another kind of model than this
// library runs.
void check_kind(const TensorSources &sources, const std::filesystem::path &path);

}  // namespace moondream
