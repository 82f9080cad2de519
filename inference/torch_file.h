// A PyTorch file, as torch.save has written it since PyTorch 1.6: a zip archive of a pickle and the
// numbers of each tensor, which stay where they lie in the mapped file.
#pragma once

#include <filesystem>

#include "tensor_file.h"

namespace moondream {

class TorchFile : public TensorFile {
 public:
  // Throws Error: kNotFound if `path` does not exist; kRead, naming the file and what is wrong in
  // it, if it cannot be read, is no such file, or holds anything else than tensors and plain
  // containers of them (see torch_pickle.h).
  explicit TorchFile(const std::filesystem::path &path);
};

}  // namespace moondream
