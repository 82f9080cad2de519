#include "json_text.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "files.h"
#include "types.h"

namespace moondream {

nlohmann::json parse_json(std::string_view text, const std::string &origin) {
  using nlohmann::json;
  constexpr std::size_t kMaxDepth = 32;
  std::size_t depth = 0;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int, json::parse_event_t event, json &parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (++depth > kMaxDepth) throw Error(ErrorKind::kRead, origin + ": nests too deeply");
        if (event == json::parse_event_t::object_start) keys.emplace_back();
        break;
      case json::parse_event_t::key: {
        const auto &key = parsed.get_ref<const std::string &>();
        if (!keys.back().insert(key).second) {
          throw Error(ErrorKind::kRead, origin + ": has the key " + quote(key) + " twice");
        }
        break;
      }
      case json::parse_event_t::object_end:
        keys.pop_back();
        [[fallthrough]];
      case json::parse_event_t::array_end:
        --depth;
        break;
      case json::parse_event_t::value:
        break;
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error &error) {
    throw Error(ErrorKind::kRead,
                origin + ": is not valid JSON at its byte " + std::to_string(error.byte));
  } catch (const json::exception &) {
    throw Error(ErrorKind::kRead, origin + ": has a number that is too large");
  }
}

}  // namespace moondream
