#include "tensor_file.h"

#include <algorithm>
#include <bit>

#include "files.h"
#include "safetensors.h"
#include "torch_file.h"
#include "types.h"
#include "zip_archive.h"

namespace moondream {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are used as they lie in the file");

struct DTypeInfo {
  DType dtype;
  const char *name;
  std::size_t size;
};

constexpr DTypeInfo kDTypes[] = {
    {DType::kF64, "F64", 8},   {DType::kF32, "F32", 4},        {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2}, {DType::kF8E4M3, "F8_E4M3", 1}, {DType::kF8E5M2, "F8_E5M2", 1},
    {DType::kI64, "I64", 8},   {DType::kI32, "I32", 4},        {DType::kI16, "I16", 2},
    {DType::kI8, "I8", 1},     {DType::kU64, "U64", 8},        {DType::kU32, "U32", 4},
    {DType::kU16, "U16", 2},   {DType::kU8, "U8", 1},          {DType::kBool, "BOOL", 1},
};

const DTypeInfo &info(DType dtype) {
  return *std::find_if(std::begin(kDTypes), std::end(kDTypes),
                       [dtype](const DTypeInfo &candidate) { return candidate.dtype == dtype; });
}

// Refuses files of other programs, saying what to take instead.
void check_format(const MappedFile &file, const std::filesystem::path &path) {
  const auto begins = [&](std::string_view magic) {
    return file.size >= magic.size() &&
           std::equal(magic.begin(), magic.end(), file.bytes.get(),
                      [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
  };
  if (begins("MOON") || (begins("\x1F\x8B") && path.string().ends_with(".mf.gz"))) {
    throw Error(ErrorKind::kMismatch,
                path.string() +
                    ": is an archive for Moondream's former client, whose weights lie in "
                    "ONNX graphs, which are not read here. Take the model.safetensors of "
                    "vikhyatk/moondream2 on Hugging Face, or with 4-bit weights that of "
                    "moondream/moondream-2b-2025-04-14-4bit, and the tokenizer.json "
                    "beside it");
  }
  if (begins("GGUF")) {
    throw Error(ErrorKind::kMismatch,
                path.string() +
                    ": is a file for llama.cpp, which has none of the heads for places "
                    "and is not read here. Take the model.safetensors of "
                    "vikhyatk/moondream2 on Hugging Face, and the tokenizer.json beside "
                    "it");
  }
}

}  // namespace

std::optional<DType> dtype_named(std::string_view name) {
  for (const DTypeInfo &candidate : kDTypes) {
    if (candidate.name == name) return candidate.dtype;
  }
  return std::nullopt;
}

const char *dtype_name(DType dtype) { return info(dtype).name; }

std::size_t dtype_size(DType dtype) { return info(dtype).size; }

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

TensorFile open_tensor_file(const std::filesystem::path &path) {
  const MappedFile file = map_file(path);
  check_format(file, path);
  if (looks_like_zip(file)) return TorchFile(path);
  return SafetensorsFile(path);
}

}  // namespace moondream
