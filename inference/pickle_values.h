// What a pickle builds: Python values, and the tensors in them.
//
// Those with parts are kept by number in lists, so that destroying them never recurses, however
// deeply they are nested.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pickle_globals.h"
#include "torch_pickle.h"

namespace moondream {

// What is wrong with a pickle.
struct PickleFault {
  std::string what;
};

struct PickleValue {
  enum class Kind {
    kMark,
    kOther,      // None, a boolean or a float: of no use here
    kInteger,    // number
    kText,       // text
    kTuple,      // index
    kContainer,  // index: a dictionary or a list
    kStorage,    // index
    kTensor,     // index
    kGlobal,     // global
  };
  Kind kind = Kind::kOther;
  std::int64_t number = 0;
  std::string_view text;
  std::size_t index = 0;  // into a list of PickleObjects
  const KnownGlobal *global = nullptr;
};

struct PickleContainer {
  bool is_list = false;
  std::vector<PickleValue> keys;  // of a dictionary
  std::vector<PickleValue> values;
};

struct PickleStorage {
  std::string_view key;
  std::optional<DType> dtype;
  std::uint64_t size = 0;  // elements; bytes if it has no dtype
};

// Values with parts, which a PickleValue has the numbers of.
struct PickleObjects {
  std::vector<std::vector<PickleValue>> tuples;
  std::vector<PickleContainer> containers;
  std::vector<PickleStorage> storages;
  std::vector<PickledTensor> tensors;
};

// The tensors in the dictionary `root`, by the keys on the way to them, joined by dots. Throws
// PickleFault if `root` is something else, if a key is neither text nor number, or if names are
// ambiguous or have more than `max_name_bytes` together: keys and containers may be shared, so that
// there could be more of them than the file is long.
std::map<std::string, PickledTensor> flatten(const PickleObjects &objects, const PickleValue &root,
                                             std::size_t max_name_bytes);

}  // namespace moondream
