#include "torch_pickle.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include "files.h"
#include "pickle_values.h"
#include "types.h"

namespace moondream {
namespace {

constexpr std::size_t kMaxPickle = 16'000'000;  // bytes; those of real checkpoints have under one
constexpr std::size_t kMaxRank = 8;             // twice what weights have
// Bytes; torch.save counts them. Each tensor has a copy, though the pickle may have it only once.
constexpr std::size_t kMaxStorageName = 64;

using Value = PickleValue;
using Kind = PickleValue::Kind;

class Unpickler {
 public:
  explicit Unpickler(std::string_view pickle) : pickle_(pickle) {}

  // Throws PickleFault.
  std::map<std::string, PickledTensor> read() {
    if (pickle_.size() > kMaxPickle) fail("it is too long");
    while (!done_) step();
    return flatten(objects_, pop(), 2 * pickle_.size());
  }

  // Where it is in the pickle, in bytes.
  std::size_t position() const { return at_; }

 private:
  [[noreturn]] static void fail(std::string what) { throw PickleFault{std::move(what)}; }

  // ---- The instructions' arguments -----------------------------------------------------------

  std::string_view take(std::uint64_t bytes) {
    if (bytes > pickle_.size() - at_) fail("it is truncated");
    const std::string_view taken = pickle_.substr(at_, bytes);
    at_ += bytes;
    return taken;
  }

  template <typename T>
  T take_number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view take_line() {
    const std::size_t end = pickle_.find('\n', at_);
    if (end == pickle_.npos) fail("it is truncated");
    const std::string_view line = take(end - at_);
    ++at_;
    return line;
  }

  // A little-endian number of any length, of which 8 bytes are enough here.
  std::int64_t take_long() {
    const auto length = take_number<std::uint8_t>();
    if (length > 8) fail("it has a number of " + std::to_string(length) + " bytes");
    std::uint64_t value = 0;
    const std::string_view bytes = take(length);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    if (length > 0 && length < 8 && (bytes.back() & 0x80) != 0) value |= ~0ULL << (8 * length);
    return static_cast<std::int64_t>(value);
  }

  // ---- The stack -----------------------------------------------------------------------------

  void push(Value value) { stack_.push_back(value); }
  void push_integer(std::int64_t number) { push({.kind = Kind::kInteger, .number = number}); }
  void push_text(std::string_view text) { push({.kind = Kind::kText, .text = text}); }

  Value pop() {
    if (stack_.empty() || stack_.back().kind == Kind::kMark) fail("it takes what is not there");
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }

  // What was pushed since the last mark, which goes too.
  std::vector<Value> pop_to_mark() {
    const auto mark = std::find_if(stack_.rbegin(), stack_.rend(),
                                   [](const Value &value) { return value.kind == Kind::kMark; });
    if (mark == stack_.rend()) fail("it takes what is not there");
    std::vector<Value> values(mark.base(), stack_.end());
    stack_.erase(mark.base() - 1, stack_.end());
    return values;
  }

  void push_tuple(std::vector<Value> values) {
    push({.kind = Kind::kTuple, .index = objects_.tuples.size()});
    objects_.tuples.push_back(std::move(values));
  }

  void push_tuple_of(std::size_t size) {
    std::vector<Value> values(size);
    for (std::size_t i = size; i-- > 0;) values[i] = pop();
    push_tuple(std::move(values));
  }

  void push_container(bool is_list) {
    push({.kind = Kind::kContainer, .index = objects_.containers.size()});
    objects_.containers.push_back({.is_list = is_list, .keys = {}, .values = {}});
  }

  PickleContainer &top_container(bool is_list) {
    if (stack_.empty() || stack_.back().kind != Kind::kContainer ||
        objects_.containers[stack_.back().index].is_list != is_list) {
      fail(std::string("it puts something into what is no ") + (is_list ? "list" : "dictionary"));
    }
    return objects_.containers[stack_.back().index];
  }

  void set_items(const std::vector<Value> &items) {
    PickleContainer &dictionary = top_container(false);
    if (items.size() % 2 != 0) fail("a key has no value");
    for (std::size_t i = 0; i < items.size(); i += 2) {
      dictionary.keys.push_back(items[i]);
      dictionary.values.push_back(items[i + 1]);
    }
  }

  void append_items(const std::vector<Value> &items) {
    PickleContainer &list = top_container(true);
    list.values.insert(list.values.end(), items.begin(), items.end());
  }

  // ---- Descriptions of data ------------------------------------------------------------------

  void push_global(std::string_view module, std::string_view name) {
    if (const KnownGlobal *global = find_global(module, name)) {
      push({.kind = Kind::kGlobal, .global = global});
      return;
    }
    fail("it asks for " + quote(std::string(module) + "." + std::string(name)) +
         ", which is neither a tensor nor a plain container: nothing is run from a file");
  }

  const KnownGlobal &as_global(const Value &value) const {
    if (value.kind != Kind::kGlobal) fail("something else is where a type or function must be");
    return *value.global;
  }

  const std::vector<Value> &as_tuple(const Value &value, std::size_t at_least) const {
    if (value.kind != Kind::kTuple || objects_.tuples[value.index].size() < at_least) {
      fail("something else is where a tuple of " + std::to_string(at_least) + " must be");
    }
    return objects_.tuples[value.index];
  }

  std::int64_t as_count(const Value &value) const {
    if (value.kind != Kind::kInteger || value.number < 0)
      fail("a size is not a number of at least 0");
    return value.number;
  }

  std::vector<std::int64_t> as_counts(const Value &value) const {
    const std::vector<Value> &tuple = as_tuple(value, 0);
    if (tuple.size() > kMaxRank) fail("a tensor has too many dimensions");
    std::vector<std::int64_t> counts;
    for (const Value &count : tuple) counts.push_back(as_count(count));
    return counts;
  }

  // ("storage", type, key, device, number of elements)
  void push_storage(const Value &id) {
    const std::vector<Value> &parts = as_tuple(id, 5);
    const KnownGlobal &type = as_global(parts[1]);
    if (parts[0].kind != Kind::kText || parts[0].text != "storage" ||
        parts[2].kind != Kind::kText ||
        (type.global != Global::kTypedStorage && type.global != Global::kUntypedStorage)) {
      fail("it refers to something that is no storage of a tensor");
    }
    if (parts[2].text.size() > kMaxStorageName) {
      fail("a storage is called " + quote(parts[2].text) + ", which is too long");
    }
    PickleStorage storage{.key = parts[2].text,
                          .dtype = std::nullopt,
                          .size = static_cast<std::uint64_t>(as_count(parts[4]))};
    if (type.global == Global::kTypedStorage) storage.dtype = type.dtype;
    push({.kind = Kind::kStorage, .index = objects_.storages.size()});
    objects_.storages.push_back(storage);
  }

  // (storage, offset, shape, strides, requires_grad, hooks, ...), and in version 3 the dtype.
  void push_tensor(const std::vector<Value> &args, bool with_dtype) {
    if (args[0].kind != Kind::kStorage) fail("a tensor has no storage");
    const PickleStorage &storage = objects_.storages[args[0].index];
    PickledTensor tensor;
    tensor.storage = storage.key;
    if (with_dtype) {
      const KnownGlobal &type = as_global(args[6]);
      if (type.global != Global::kDType || storage.dtype) fail("a tensor has no type");
      tensor.dtype = type.dtype;
      tensor.storage_bytes = storage.size;
    } else {
      if (!storage.dtype) fail("a tensor has no type");
      tensor.dtype = *storage.dtype;
      if (__builtin_mul_overflow(storage.size, dtype_size(tensor.dtype), &tensor.storage_bytes)) {
        fail("a storage is too large");
      }
    }
    tensor.offset = static_cast<std::uint64_t>(as_count(args[1]));
    tensor.shape = as_counts(args[2]);
    tensor.strides = as_counts(args[3]);
    if (tensor.shape.size() != tensor.strides.size()) fail("a tensor has other strides than sizes");
    push({.kind = Kind::kTensor, .index = objects_.tensors.size()});
    objects_.tensors.push_back(std::move(tensor));
  }

  void reduce() {
    const Value arguments = pop();
    const KnownGlobal &function = as_global(pop());
    switch (function.global) {
      case Global::kOrderedDict:
        if (!as_tuple(arguments, 0).empty()) fail("an OrderedDict is made of something");
        push_container(false);
        return;
      case Global::kRebuildTensor:
        push_tensor(as_tuple(arguments, 6), false);
        return;
      case Global::kRebuildTensorV3:
        push_tensor(as_tuple(arguments, 7), true);
        return;
      case Global::kRebuildParameter:
        if (as_tuple(arguments, 1)[0].kind != Kind::kTensor) fail("a parameter is no tensor");
        push(as_tuple(arguments, 1)[0]);
        return;
      case Global::kSize:
        as_tuple(as_tuple(arguments, 1)[0], 0);
        push(as_tuple(arguments, 1)[0]);
        return;
      case Global::kTypedStorage:
      case Global::kUntypedStorage:
      case Global::kDType:
        break;
    }
    fail("it calls " + quote(std::string(function.module) + "." + std::string(function.name)));
  }

  // ---- The instructions ----------------------------------------------------------------------

  void remember(std::uint32_t slot) {
    if (stack_.empty()) fail("it takes what is not there");
    memo_[slot] = stack_.back();
  }

  void recall(std::uint32_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) fail("it takes what is not there");
    push(found->second);
  }

  // Names of the instructions as in Python's pickletools.
  void step() {
    const auto code = take_number<std::uint8_t>();
    switch (code) {
      case 0x80:  // PROTO: the instructions of all protocols are disjoint
        take(1);
        return;
      case 0x95:  // FRAME
        take(8);
        return;
      case '.':  // STOP
        done_ = true;
        return;
      case '(':  // MARK
        push({.kind = Kind::kMark});
        return;
      case '0':  // POP
        pop();
        return;
      case '1':  // POP_MARK
        pop_to_mark();
        return;

      case 'N':   // NONE
      case 0x88:  // NEWTRUE
      case 0x89:  // NEWFALSE
        push({});
        return;
      case 'G':  // BINFLOAT
        take(8);
        push({});
        return;
      case 'J':  // BININT
        push_integer(take_number<std::int32_t>());
        return;
      case 'K':  // BININT1
        push_integer(take_number<std::uint8_t>());
        return;
      case 'M':  // BININT2
        push_integer(take_number<std::uint16_t>());
        return;
      case 0x8a:  // LONG1
        push_integer(take_long());
        return;
      case 'X':  // BINUNICODE
        push_text(take(take_number<std::uint32_t>()));
        return;
      case 0x8c:  // SHORT_BINUNICODE
        push_text(take(take_number<std::uint8_t>()));
        return;

      case ')':  // EMPTY_TUPLE
        push_tuple({});
        return;
      case 't':  // TUPLE
        push_tuple(pop_to_mark());
        return;
      case 0x85:  // TUPLE1
        push_tuple_of(1);
        return;
      case 0x86:  // TUPLE2
        push_tuple_of(2);
        return;
      case 0x87:  // TUPLE3
        push_tuple_of(3);
        return;
      case ']':  // EMPTY_LIST
        push_container(true);
        return;
      case '}':  // EMPTY_DICT
        push_container(false);
        return;
      case 'a': {  // APPEND
        const Value value = pop();
        append_items({value});
        return;
      }
      case 'e':  // APPENDS
        append_items(pop_to_mark());
        return;
      case 's': {  // SETITEM
        const Value value = pop(), key = pop();
        set_items({key, value});
        return;
      }
      case 'u':  // SETITEMS
        set_items(pop_to_mark());
        return;

      case 'q':  // BINPUT
        remember(take_number<std::uint8_t>());
        return;
      case 'r':  // LONG_BINPUT
        remember(take_number<std::uint32_t>());
        return;
      case 0x94:  // MEMOIZE
        remember(static_cast<std::uint32_t>(memo_.size()));
        return;
      case 'h':  // BINGET
        recall(take_number<std::uint8_t>());
        return;
      case 'j':  // LONG_BINGET
        recall(take_number<std::uint32_t>());
        return;

      case 'c': {  // GLOBAL
        const std::string_view module = take_line(), name = take_line();
        push_global(module, name);
        return;
      }
      case 0x93: {  // STACK_GLOBAL
        const Value name = pop(), module = pop();
        if (name.kind != Kind::kText || module.kind != Kind::kText) fail("a name is no text");
        push_global(module.text, name.text);
        return;
      }
      case 'Q':  // BINPERSID
        push_storage(pop());
        return;
      case 'R':  // REDUCE
        reduce();
        return;
      case 'b':  // BUILD: what a state dictionary remembers of its modules; of no use here
        pop();
        top_container(false);
        return;
      default:
        --at_;
        fail("it has the instruction " + std::to_string(code) + ", which weights do not need");
    }
  }

  const std::string_view pickle_;
  std::size_t at_ = 0;
  bool done_ = false;
  std::vector<Value> stack_;
  std::unordered_map<std::uint32_t, Value> memo_;
  PickleObjects objects_;
};

}  // namespace

std::map<std::string, PickledTensor> read_torch_pickle(std::string_view pickle,
                                                       const std::string &origin) {
  Unpickler unpickler(pickle);
  try {
    return unpickler.read();
  } catch (const PickleFault &fault) {
    throw Error(ErrorKind::kRead, origin + ": the pickle at its byte " +
                                      std::to_string(unpickler.position()) + ": " + fault.what);
  }
}

}  // namespace moondream
