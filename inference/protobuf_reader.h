// Reading Protocol Buffers messages that are not trusted, field by field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace moondream {

// One message. Borrows its bytes.
//
//   ProtobufReader reader(bytes, "file.model");
//   while (reader.next()) {
//     if (reader.field() == 1) name = reader.bytes();
//   }
//
// Everything throws Error{kRead} that begins with `where` if the message is truncated or malformed,
// or if a field that is read is of another wire type.
class ProtobufReader {
 public:
  ProtobufReader(std::string_view message, std::string where);

  // Goes to the next field. Returns false at the end.
  bool next();

  int field() const { return field_; }  // its number
  std::uint64_t integer() const;        // also bool and enum
  float real() const;
  std::string_view bytes() const;  // also string and message

  [[noreturn]] void fail(const std::string &what) const;

 private:
  std::uint64_t read_varint();
  std::string_view read_bytes(std::uint64_t size);
  void expect(int wire_type) const;

  std::string_view rest_;
  std::string where_;
  int field_ = 0;
  int wire_type_ = 0;
  std::uint64_t integer_ = 0;
  std::string_view bytes_;
};

}  // namespace moondream
