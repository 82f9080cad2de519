// .pt: a zip archive with a pickle, or what does not begin as one as the pickle alone.
#include <algorithm>

#include "target.h"
#include "torch_file.h"
#include "torch_pickle.h"

namespace {

using namespace moondream;
using namespace moondream::fuzz;

// Every element that shape and strides name lies in the entry, and the entry in the file.
void check_entries(const TensorFile &file, std::size_t file_size) {
  const auto *begin = static_cast<const std::byte *>(file.keep_alive().get());
  for (const auto &[name, entry] : file.tensors()) {
    const auto bytes = file.bytes(entry);
    require(bytes.empty() ||
                (bytes.data() >= begin && bytes.data() + bytes.size() <= begin + file_size),
            "a tensor's bytes are in the file");
    require(entry.strides.empty() || entry.strides.size() == entry.shape.size(),
            "there is a stride for each dimension");
    // The last element; without strides the number of elements says where it is.
    __int128 elements = 1, last = 0;
    for (std::size_t i = 0; i < entry.shape.size(); ++i) {
      require(entry.shape[i] >= 0, "sizes are not negative");
      elements = std::min(elements * entry.shape[i], __int128{1} << 100);
      if (!entry.strides.empty()) last += __int128{entry.shape[i] - 1} * entry.strides[i];
    }
    if (elements == 0) continue;
    if (entry.strides.empty()) last = elements - 1;
    require((last + 1) * static_cast<__int128>(dtype_size(entry.dtype)) <= __int128{bytes.size()},
            "a tensor's elements are in its bytes");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const InputFile file("model.pt");
  const std::string_view contents(reinterpret_cast<const char *>(data), size);
  // Two bytes of a pickle put a value of 48 bytes on the stack and a node into the memo; five make
  // a tensor with its shape and strides of what is there already.
  const std::size_t limit = 65536 + 256 * size;
  if (contents.starts_with("PK")) {
    read_within(limit, [&] { check_entries(TorchFile(file.holding(contents)), size); });
  } else {
    read_within(limit, [&] { read_torch_pickle(contents, "data.pkl"); });
  }
  return 0;
}
