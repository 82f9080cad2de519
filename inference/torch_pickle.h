// What torch.save writes beside the numbers: a Python pickle that says which tensors there are.
//
// A pickle is a program. This reads the few of its instructions that containers, texts, numbers
// and tensors need, and runs nothing: the names of Python functions that may be "called" are a
// fixed list, and each of them only describes data. Whatever else a file asks for is an Error that
// names it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor_file.h"

namespace moondream {

// A tensor as the pickle describes it, not yet compared with the data.
struct PickledTensor {
  std::string storage;  // the name of the record that holds it
  DType dtype = DType::kF32;
  std::uint64_t storage_bytes = 0;           // what the pickle says that the record has
  std::uint64_t offset = 0;                  // of the first element, in elements
  std::vector<std::int64_t> shape, strides;  // >= 0, as many of each; strides in elements
};

// The tensors in the dictionary that the pickle holds, also those inside dictionaries and lists in
// it: their names are the keys on the way, joined by dots. Values that are no tensors are left out.
// Throws Error{kRead}, beginning with `origin`, if it is damaged or holds anything else. Works in
// constant stack space and in memory proportional to the text.
std::map<std::string, PickledTensor> read_torch_pickle(std::string_view pickle,
                                                       const std::string &origin);

}  // namespace moondream
