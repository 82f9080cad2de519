// Typed access to JSON that nobody has checked before, which says where in the file something is
// wrong. Thread-safety: safe; values are only read.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace moondream {

// One value of a parsed file. Borrows the value, which must outlive it.
class JsonView {
 public:
  // `where` begins the text of every error: the file, then the way to the value.
  JsonView(const nlohmann::json &value, std::string where);

  const nlohmann::json &raw() const { return *value_; }
  const std::string &where() const { return where_; }

  // Members. All throw Error{kRead} if this is not an object.
  JsonView at(const std::string &key) const;                   // throws Error{kRead} if absent
  std::optional<JsonView> find(const std::string &key) const;  // empty if absent or null
  // Throws Error{kMismatch} for a member of another name: what is unknown is never skipped.
  void allow_only(std::initializer_list<std::string_view> keys) const;

  // Elements. Throw Error{kRead} if this is not an array.
  std::size_t size() const;
  JsonView element(std::size_t index) const;

  // Typed values. Throw Error{kRead} if this is of another type.
  const std::string &string() const;
  bool boolean() const;
  int integer(int min, int max) const;  // also if outside [min, max]

  // The file contradicts itself or is damaged here.
  [[noreturn]] void fail(const std::string &what) const;  // Error{kRead}
  // The file asks for something that this library does not do.
  [[noreturn]] void unsupported(const std::string &what) const;  // Error{kMismatch}

 private:
  void expect(bool is_of_type, const char *type) const;

  const nlohmann::json *value_;
  std::string where_;
};

}  // namespace moondream
