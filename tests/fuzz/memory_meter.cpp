#include "memory_meter.h"

#include <atomic>

#if defined(__SANITIZE_ADDRESS__)
#define MOONDREAM_HAS_ALLOCATION_HOOKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MOONDREAM_HAS_ALLOCATION_HOOKS 1
#endif
#endif

namespace moondream::fuzz {
namespace {

std::atomic<std::size_t> allocated{0}, peak{0};

void add(std::size_t bytes) {
  const std::size_t now = allocated += bytes;
  std::size_t before = peak;
  while (before < now && !peak.compare_exchange_weak(before, now)) {
  }
}

}  // namespace

std::size_t allocated_bytes() { return allocated; }
std::size_t peak_bytes() { return peak; }
void restart_peak() { peak = allocated.load(); }

}  // namespace moondream::fuzz

#ifdef MOONDREAM_HAS_ALLOCATION_HOOKS

// As in sanitizer/allocator_interface.h, which GCC does not install.
extern "C" {
std::size_t __sanitizer_get_allocated_size(const volatile void *memory);
int __sanitizer_install_malloc_and_free_hooks(void (*allocating)(const volatile void *,
                                                                 std::size_t),
                                              void (*freeing)(const volatile void *));
}

namespace moondream::fuzz {
namespace {

void allocating(const volatile void *, std::size_t size) { add(size); }
// Of what was allocated before there were hooks, more may be freed than was counted.
void freeing(const volatile void *memory) {
  if (memory) allocated -= __sanitizer_get_allocated_size(memory);
}
[[maybe_unused]] const int hooks = __sanitizer_install_malloc_and_free_hooks(allocating, freeing);

}  // namespace
}  // namespace moondream::fuzz

#else

#include <malloc.h>
#include <unicode/uclean.h>

#include <cstdlib>
#include <new>

namespace moondream::fuzz {
namespace {

// What an allocation is refused beyond, so that a mistake does not take the machine with it.
constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

void *counted(void *memory) {
  if (memory) add(malloc_usable_size(memory));
  return memory;
}

void *allocate(std::size_t size) {
  return size > kMaxBytes || allocated > kMaxBytes - size ? nullptr : counted(std::malloc(size));
}

void release(void *memory) {
  if (!memory) return;
  allocated -= malloc_usable_size(memory);
  std::free(memory);
}

void *icu_allocate(const void *, std::size_t size) { return allocate(size); }
void icu_release(const void *, void *memory) { release(memory); }
void *icu_resize(const void *, void *memory, std::size_t size) {
  if (!memory) return allocate(size);
  if (size > kMaxBytes) return nullptr;
  const std::size_t before = malloc_usable_size(memory);
  void *resized = std::realloc(memory, size);
  if (resized) allocated -= before;
  return counted(resized);
}

[[maybe_unused]] const bool counts_icu = [] {
  UErrorCode status = U_ZERO_ERROR;
  u_setMemoryFunctions(nullptr, icu_allocate, icu_resize, icu_release, &status);
  return U_SUCCESS(status);
}();

}  // namespace
}  // namespace moondream::fuzz

// The other forms call these.
void *operator new(std::size_t size) {
  void *memory = moondream::fuzz::allocate(size == 0 ? 1 : size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
void operator delete(void *memory) noexcept { moondream::fuzz::release(memory); }
void operator delete(void *memory, std::size_t) noexcept { moondream::fuzz::release(memory); }

#endif
