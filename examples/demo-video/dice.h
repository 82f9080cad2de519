// Random choices that are the same with every standard library: the engine's numbers are fixed by
// the standard, those of its distributions are not.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>

namespace scenes {

// Thread-safety: not safe; one per thread.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}

  // In [low, high).
  double between(double low, double high) {
    return low + (high - low) * std::ldexp(static_cast<double>(engine_() >> 11), -53);
  }
  // In [0, count).
  int below(int count) { return static_cast<int>(between(0, count)); }
  bool chance(double probability) { return between(0, 1) < probability; }

  // One of a container's elements, which must not be empty.
  template <typename Container>
  const auto &one_of(const Container &container) {
    return container[static_cast<std::size_t>(below(static_cast<int>(std::size(container))))];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace scenes
