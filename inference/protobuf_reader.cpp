#include "protobuf_reader.h"

#include <bit>
#include <limits>
#include <utility>

#include "types.h"

namespace moondream {
namespace {

constexpr int kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

}  // namespace

ProtobufReader::ProtobufReader(std::string_view message, std::string where)
    : rest_(message), where_(std::move(where)) {}

bool ProtobufReader::next() {
  if (rest_.empty()) return false;
  const std::uint64_t tag = read_varint();
  constexpr std::uint64_t kMaxField = (1 << 29) - 1;
  if (tag >> 3 == 0 || tag >> 3 > kMaxField) fail("a field has no valid number");
  field_ = static_cast<int>(tag >> 3);
  wire_type_ = static_cast<int>(tag & 7);
  switch (wire_type_) {
    case kVarint:
      integer_ = read_varint();
      break;
    case kFixed64:
      bytes_ = read_bytes(8);
      break;
    case kBytes:
      bytes_ = read_bytes(read_varint());
      break;
    case kFixed32:
      bytes_ = read_bytes(4);
      break;
    default:
      fail("field " + std::to_string(field_) + " has the unknown wire type " +
           std::to_string(wire_type_));
  }
  return true;
}

std::uint64_t ProtobufReader::integer() const {
  expect(kVarint);
  return integer_;
}

float ProtobufReader::real() const {
  expect(kFixed32);
  std::uint32_t bits = 0;
  for (int i = 3; i >= 0; --i) bits = bits << 8 | static_cast<unsigned char>(bytes_[i]);
  static_assert(std::numeric_limits<float>::is_iec559);
  return std::bit_cast<float>(bits);
}

std::string_view ProtobufReader::bytes() const {
  expect(kBytes);
  return bytes_;
}

void ProtobufReader::fail(const std::string &what) const {
  throw Error(ErrorKind::kRead, where_ + ": " + what);
}

std::uint64_t ProtobufReader::read_varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(read_bytes(1)[0]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail("an integer has more than 64 bits");
}

std::string_view ProtobufReader::read_bytes(std::uint64_t size) {
  if (size > rest_.size()) fail("is truncated");
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

void ProtobufReader::expect(int wire_type) const {
  if (wire_type_ != wire_type) {
    fail("field " + std::to_string(field_) + " has the wire type " + std::to_string(wire_type_) +
         " instead of " + std::to_string(wire_type));
  }
}

}  // namespace moondream
