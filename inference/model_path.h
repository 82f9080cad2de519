// Where the files of a named model are: the name may be of a Hugging Face cache directory.
#pragma once

#include <filesystem>
#include <string>

namespace moondream {

struct ModelPath {
  std::filesystem::path path;  // the directory or file with the weights
  std::string name;            // for people: of the directory or file, or "organisation/model"
};

// What `path` stands for. Of a directory of the Hugging Face cache ("models--ORG--NAME") that is
// the snapshot that its refs/main names, else its only one; of one inside "snapshots" the name is
// that of the model. Any other path stands for itself, whether it exists or not.
// Throws Error, saying which snapshots there are: kNotFound if there is none, kSettings if there
// are several and refs/main names none of them. Thread-safety: safe.
ModelPath find_model(const std::filesystem::path &path);

}  // namespace moondream
