// Outlines as the model writes them: the data of an SVG path, token by token.
#pragma once

#include <optional>
#include <span>
#include <string>

namespace moondream {

// Makes path data of the texts of tokens: a command's letter, or a whole number of 1/960 of the
// outline's box, or "-" before one. Numbers become fractions of the box with up to three decimals,
// in pairs (single ones behind H and V, sevens behind A, whose degrees and flags stay as they are);
// what is left of a pair is dropped. Nothing if a text is none of these, or a number comes before
// any command. Port of kestrel/utils/svg.py of m87-labs/kestrel @ 05d0475, which takes H, V and A
// for pairs, too, and so breaks them.
// Thread-safety: safe.
std::optional<std::string> svg_path_of_tokens(std::span<const std::string> tokens);

// A coordinate of path data, with up to three decimals. Thread-safety: safe.
std::string svg_number(double value);

}  // namespace moondream
