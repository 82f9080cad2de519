// The records of a zip archive that lies in memory. Only what torch.save writes: stored, neither
// compressed nor encrypted, with the 64-bit sizes of large files.
//
// The archive is not trusted: a record is bytes that are really there. Records may overlap, which
// harms nobody who only reads them.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "files.h"

namespace moondream {

// Whether the file begins as a zip archive does.
bool looks_like_zip(const MappedFile &file);

// By name. The bytes live as long as those of `file`. Throws Error{kRead} beginning with `origin`
// if it is not such an archive; works in memory proportional to the archive's directory.
std::map<std::string, std::span<const std::byte>> zip_records(const MappedFile &file,
                                                              const std::string &origin);

}  // namespace moondream
