#include "json_view.h"

#include <algorithm>
#include <utility>

#include "files.h"
#include "types.h"

namespace moondream {
JsonView::JsonView(const nlohmann::json &value, std::string where)
    : value_(&value), where_(std::move(where)) {}

JsonView JsonView::at(const std::string &key) const {
  expect(value_->is_object(), "an object");
  const auto member = value_->find(key);
  if (member == value_->end()) fail(quote(key) + " is missing");
  return {*member, where_ + ": " + key};
}

std::optional<JsonView> JsonView::find(const std::string &key) const {
  expect(value_->is_object(), "an object");
  const auto member = value_->find(key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return JsonView(*member, where_ + ": " + key);
}

void JsonView::allow_only(std::initializer_list<std::string_view> keys) const {
  expect(value_->is_object(), "an object");
  for (const auto &member : value_->items()) {
    if (std::find(keys.begin(), keys.end(), member.key()) == keys.end()) {
      unsupported("the setting " + quote(member.key()));
    }
  }
}

std::size_t JsonView::size() const {
  expect(value_->is_array(), "an array");
  return value_->size();
}

JsonView JsonView::element(std::size_t index) const {
  expect(value_->is_array(), "an array");
  return {(*value_)[index], where_ + "[" + std::to_string(index) + "]"};
}

const std::string &JsonView::string() const {
  expect(value_->is_string(), "a string");
  return value_->get_ref<const std::string &>();
}

bool JsonView::boolean() const {
  expect(value_->is_boolean(), "true or false");
  return value_->get<bool>();
}

int JsonView::integer(int min, int max) const {
  expect(value_->is_number_integer(), "an integer");
  // Numbers over the signed range are stored unsigned; reading those as signed would wrap.
  const bool in_range =
      value_->is_number_unsigned()
          ? value_->get<std::uint64_t>() <= static_cast<std::uint64_t>(max) &&
                static_cast<int>(value_->get<std::uint64_t>()) >= min
          : value_->get<std::int64_t>() >= min && value_->get<std::int64_t>() <= max;
  if (!in_range) {
    fail(value_->dump() + " is not in [" + std::to_string(min) + ", " + std::to_string(max) + "]");
  }
  return value_->get<int>();
}

void JsonView::fail(const std::string &what) const {
  throw Error(ErrorKind::kRead, where_ + ": " + what);
}

void JsonView::unsupported(const std::string &what) const {
  throw Error(ErrorKind::kMismatch, where_ + ": " + what + " is not supported");
}

void JsonView::expect(bool is_of_type, const char *type) const {
  if (!is_of_type) fail(std::string("expected ") + type + ", found " + value_->type_name());
}

}  // namespace moondream
