// Small random damage to a file.
#pragma once

#include <random>
#include <string>

namespace moondream::fuzz {

// `input` after one to eight changes such as a flipped bit, a number made extreme, or a stretch
// that is lost, repeated or taken from `other`. Equal generators make equal changes.
std::string mutate(std::string input, const std::string &other, std::mt19937 &random);

}  // namespace moondream::fuzz
