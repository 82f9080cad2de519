#include "torch_file.h"

#include <span>
#include <string>
#include <string_view>

#include "files.h"
#include "torch_pickle.h"
#include "types.h"
#include "zip_archive.h"

namespace moondream {
namespace {

using Records = std::map<std::string, std::span<const std::byte>>;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

bool is_row_major(const PickledTensor &tensor) {
  std::int64_t expected = 1;
  for (std::size_t i = tensor.shape.size(); i-- > 0;) {
    // A dimension of one element has no next one.
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    if (__builtin_mul_overflow(expected, tensor.shape[i], &expected)) return false;
  }
  return true;
}

// How often the numbers of a file may be part of a tensor on average: weights may be tied, and a
// module's parts may have two names.
constexpr std::uint64_t kMaxSharing = 4;

// The elements of the tensor, and those that it spans in its storage, gaps included; 0 if it has
// none. False if they cannot be counted, or if one stands for several.
bool count_elements(const PickledTensor &tensor, std::uint64_t &elements, std::uint64_t &spanned) {
  std::int64_t last = 0, product = 1;
  bool empty = false;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    const std::int64_t size = tensor.shape[i];
    empty = empty || size == 0;
    std::int64_t step = 0;
    if (size != 0 && (__builtin_mul_overflow(product, size, &product) ||
                      __builtin_mul_overflow(size - 1, tensor.strides[i], &step) ||
                      __builtin_add_overflow(last, step, &last))) {
      return false;
    }
  }
  elements = empty ? 0 : static_cast<std::uint64_t>(product);
  spanned = empty ? 0 : static_cast<std::uint64_t>(last) + 1;
  // A stride of 0 repeats elements: more numbers than the file has are no checkpoint's.
  return elements <= spanned;
}

}  // namespace

TorchFile::TorchFile(const std::filesystem::path &path) : TensorFile(path) {
  const auto fail = [&path](const std::string &what) {
    throw Error(ErrorKind::kRead, path.string() + ": " + what);
  };
  const MappedFile file = map_file(path);
  const Records records = zip_records(file, path.string());

  // All records are in one folder of any name.
  constexpr std::string_view kPickle = "/data.pkl";
  std::string folder;
  for (const auto &[name, bytes] : records) {
    if (name.ends_with(kPickle) && name.find('/') == name.size() - kPickle.size()) {
      folder = name.substr(0, name.size() - kPickle.size());
    }
  }
  const auto pickle = records.find(folder + std::string(kPickle));
  if (pickle == records.end()) fail("is a zip archive, but holds no data.pkl as PyTorch files do");
  const auto order = records.find(folder + "/byteorder");
  if (order != records.end() && text_of(order->second) != "little") {
    fail("has the byte order " + quote(text_of(order->second)) + ", expected \"little\"");
  }

  mapping_ = file.bytes;
  data_ = mapping_.get();
  std::uint64_t total = 0;  // bytes of all tensors; no sum of sizes in the file overflows
  for (const auto &[tensor_name, tensor] :
       read_torch_pickle(text_of(pickle->second), path.string())) {
    const std::string &name = tensor_name;  // which a lambda may keep
    const auto fail_tensor = [&](const std::string &what) {
      fail("tensor " + quote(name) + " " + what);
    };
    const auto record = records.find(folder + "/data/" + tensor.storage);
    if (record == records.end()) fail_tensor("has no data: there is no record of that name");
    const std::span<const std::byte> bytes = record->second;
    const std::size_t size = dtype_size(tensor.dtype);
    if (tensor.storage_bytes > bytes.size()) {
      fail_tensor("needs " + std::to_string(tensor.storage_bytes) + " bytes, but has only " +
                  std::to_string(bytes.size()));
    }
    std::uint64_t elements = 0, spanned = 0;
    if (!count_elements(tensor, elements, spanned) || tensor.offset > bytes.size() / size ||
        spanned > bytes.size() / size - tensor.offset) {
      fail_tensor("is " + shape_text(tensor.shape) + " of " + dtype_name(tensor.dtype) +
                  ", which its data of " + std::to_string(bytes.size()) + " bytes does not hold");
    }
    TensorEntry entry{.dtype = tensor.dtype, .shape = tensor.shape};
    entry.begin = static_cast<std::size_t>(bytes.data() - data_) + tensor.offset * size;
    entry.end = entry.begin + spanned * size;
    // A small file could otherwise be a model of any size, once its tensors are converted.
    total += elements * size;
    if (total > kMaxSharing * file.size) {
      fail_tensor("and those before it have " + std::to_string(total) +
                  " bytes, more than the file has to share: it is not a checkpoint");
    }
    if (!is_row_major(tensor)) entry.strides = tensor.strides;
    tensors_.emplace(name, std::move(entry));
  }
}

}  // namespace moondream
