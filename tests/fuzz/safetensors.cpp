// .safetensors: as a whole file, and as the header of a file whose length and data are right.
#include "safetensors.h"

#include <algorithm>
#include <cstring>

#include "safetensors_header.h"
#include "target.h"

namespace {

using namespace moondream;
using namespace moondream::fuzz;

constexpr std::size_t kMaxData = 4096;  // bytes that are put behind a header

// Every entry lies in the file, has the bytes that its shape needs, and shares none.
void check_entries(const TensorFile &file, std::size_t file_size) {
  const auto *begin = static_cast<const std::byte *>(file.keep_alive().get());
  std::size_t total = 0;
  for (const auto &[name, entry] : file.tensors()) {
    const auto bytes = file.bytes(entry);
    require(bytes.empty() ||
                (bytes.data() >= begin && bytes.data() + bytes.size() <= begin + file_size),
            "a tensor's bytes are in the file");
    __int128 needed = dtype_size(entry.dtype);
    for (const std::int64_t size : entry.shape) {
      require(size >= 0, "sizes are not negative");
      needed = size == 0 ? 0 : std::min(needed * size, __int128{1} << 100);
    }
    require(needed == __int128{bytes.size()}, "a tensor has the bytes of its shape");
    total += bytes.size();
  }
  require(total <= file_size, "no two tensors share bytes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const InputFile file("model.safetensors");
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  const auto open = [](std::string_view contents) {
    // An entry is a tree's node with its name, shape and offsets, from some 40 bytes of text.
    read_within(65536 + 32 * contents.size(),
                [&] { check_entries(SafetensorsFile(file.holding(contents)), contents.size()); });
  };
  open(text);

  std::size_t end = 0;
  read_within(65536 + 32 * size, [&] {
    for (const auto &[name, entry] : parse_header(text, "header")) end = std::max(end, entry.end);
  });
  if (end > kMaxData) return 0;
  const std::uint64_t length = size;
  std::string whole(8, '\0');
  std::memcpy(whole.data(), &length, 8);
  open(whole.append(text).append(end, 'x'));
  return 0;
}
