// Hand-made PyTorch files: zip archives and the pickles in them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "weights_support.h"

namespace moondream::test {

inline std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

using Records = std::vector<std::pair<std::string, std::string>>;

// A zip archive of stored records, each aligned as torch.save does. wide: all sizes and places are
// in 64-bit fields, as in archives of more than 4 GB.
inline std::string zip_of(const Records &records, bool wide = false, int method = 0) {
  std::string data, directory;
  const std::string all_ones = little_endian(0xFFFFFFFF, 4);
  for (const auto &[name, bytes] : records) {
    const std::size_t begin = data.size();
    const std::size_t padding = (64 - (begin + 30 + name.size() + 4) % 64) % 64;
    data += "PK\x03\x04" + std::string(4, '\0') + little_endian(method, 2) + std::string(8, '\0') +
            little_endian(bytes.size(), 4) + little_endian(bytes.size(), 4) +
            little_endian(name.size(), 2) + little_endian(padding + 4, 2) + name + "FB" +
            little_endian(padding, 2) + std::string(padding, 'Z') + bytes;
    const std::string extra = !wide ? ""
                                    : little_endian(1, 2) + little_endian(24, 2) +
                                          little_endian(bytes.size(), 8) +
                                          little_endian(bytes.size(), 8) + little_endian(begin, 8);
    const auto size = [&](std::uint64_t value) {
      return wide ? all_ones : little_endian(value, 4);
    };
    directory += "PK\x01\x02" + std::string(6, '\0') + little_endian(method, 2) +
                 std::string(8, '\0') + size(bytes.size()) + size(bytes.size()) +
                 little_endian(name.size(), 2) + little_endian(extra.size(), 2) +
                 std::string(10, '\0') + size(begin) + name + extra;
  }
  const std::size_t at = data.size();
  std::string end;
  if (wide) {
    end += "PK\x06\x06" + little_endian(44, 8) + std::string(12, '\0') +
           little_endian(records.size(), 8) + little_endian(records.size(), 8) +
           little_endian(directory.size(), 8) + little_endian(at, 8);
    end += "PK\x06\x07" + std::string(4, '\0') + little_endian(at + directory.size(), 8) +
           little_endian(1, 4);
  }
  end += "PK\x05\x06" + std::string(4, '\0') + little_endian(records.size(), 2) +
         little_endian(records.size(), 2) + little_endian(directory.size(), 4) +
         (wide ? all_ones : little_endian(at, 4)) + std::string(2, '\0');
  return data + directory + end;
}

// ---- Pieces of pickles, in protocol 2 --------------------------------------------------------

inline std::string pickled(const std::string &text) {
  return std::string("X") + little_endian(text.size(), 4) + text;
}
inline std::string pickled(std::int64_t number) {
  return std::string("\x8a\x08") + little_endian(static_cast<std::uint64_t>(number), 8);
}
inline std::string pickled_tuple(const std::vector<std::int64_t> &tuple) {
  std::string text = "(";
  for (const std::int64_t number : tuple) text += pickled(number);
  return text + "t";
}
inline std::string pickled_global(const std::string &module, const std::string &name) {
  return "c" + module + "\n" + name + "\n";
}

// A reference to the record of that name.
inline std::string pickled_storage(const std::string &type, const std::string &record,
                                   std::int64_t elements) {
  return std::string("(") + pickled("storage") + pickled_global("torch", type) + pickled(record) +
         pickled("cpu") + pickled(elements) + "tQ";
}

inline std::string pickled_tensor(const std::string &storage, std::int64_t offset,
                                  const std::vector<std::int64_t> &shape,
                                  const std::vector<std::int64_t> &strides) {
  return pickled_global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + pickled(offset) +
         pickled_tuple(shape) + pickled_tuple(strides) + "\x89" +
         pickled_global("collections", "OrderedDict") + ")RtR";
}

// A dictionary of values that are pickled already.
inline std::string pickled_dict(const std::vector<std::pair<std::string, std::string>> &items) {
  std::string text = "}(";
  for (const auto &[key, value] : items) text += pickled(key) + value;
  return text + "u";
}

inline std::string pickle_of(const std::string &value) { return "\x80\x02" + value + "."; }

inline std::vector<std::int64_t> row_major(const std::vector<std::int64_t> &shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

// A float8_e4m3fn tensor that is all of that record: such types have no storage class of their own.
inline std::string pickled_fp8_tensor(const std::string &record,
                                      const std::vector<std::int64_t> &shape) {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) elements *= size;
  const std::string storage = std::string("(") + pickled("storage") +
                              pickled_global("torch.storage", "UntypedStorage") + pickled(record) +
                              pickled("cpu") + pickled(elements) + "tQ";
  return pickled_global("torch._utils", "_rebuild_tensor_v3") + "(" + storage + pickled(0) +
         pickled_tuple(shape) + pickled_tuple(row_major(shape)) + "\x89N" +
         pickled_global("torch", "float8_e4m3fn") + "tR";
}

// A PyTorch file of these tensors, as torch.save writes a state dictionary.
inline std::string torch_file_of(const std::vector<RawTensor> &tensors) {
  Records records = {{"archive/data.pkl", ""}, {"archive/byteorder", "little"}};
  std::vector<std::pair<std::string, std::string>> items;
  for (const RawTensor &tensor : tensors) {
    const auto [type, size] = tensor.dtype == "F64"    ? std::pair("DoubleStorage", 8)
                              : tensor.dtype == "F32"  ? std::pair("FloatStorage", 4)
                              : tensor.dtype == "F16"  ? std::pair("HalfStorage", 2)
                              : tensor.dtype == "BF16" ? std::pair("BFloat16Storage", 2)
                                                       : std::pair("ByteStorage", 1);
    const std::string record = std::to_string(items.size());
    if (tensor.dtype == "F8_E4M3") {
      items.emplace_back(tensor.name, pickled_fp8_tensor(record, tensor.shape));
      records.emplace_back("archive/data/" + record, tensor.bytes);
      continue;
    }
    const auto elements = static_cast<std::int64_t>(tensor.bytes.size()) / size;
    items.emplace_back(tensor.name, pickled_tensor(pickled_storage(type, record, elements), 0,
                                                   tensor.shape, row_major(tensor.shape)));
    records.emplace_back("archive/data/" + record, tensor.bytes);
  }
  records[0].second = pickle_of(pickled_dict(items));
  return zip_of(records);
}

}  // namespace moondream::test
