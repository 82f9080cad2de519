// What a stream saw last: the crops that were encoded, what the vision encoder made of them, and
// what was answered. Keys and values are not kept: those of one picture take 143 MB at full size,
// its features 15 MB in bfloat16 (1280x720: 9 crops; beside 4 MB of pixels).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "backend.h"
#include "image_crops.h"

namespace moondream {

// One crop, as it was encoded.
struct KnownCrop {
  std::vector<std::uint8_t> pixels;
  at::Tensor features;  // [patches, enc_dim], in memory of its own
};

// A picture, or a part of one.
struct KnownPicture {
  Box place;
  Tiling tiling;
  std::vector<std::shared_ptr<const KnownCrop>> crops;  // none null
};

struct KnownAnswer {
  std::vector<Prompt> prompts;
  GenerationSettings settings;
  Grid grid;
  std::vector<PromptResult> results;

  bool answers(const Request &request) const {
    return prompts == request.prompts && settings == request.settings && grid == request.grid;
  }
};

// One request's view. Crops that had not changed since an earlier view are shared with it, so that
// each is compared with the pixels that its features are of: slow changes add up until they count.
struct Sight {
  std::vector<KnownPicture> pictures;  // in the order of parts_of()
  std::optional<KnownAnswer> answer;   // of these pictures; none: there was no result
};

// Whether a crop looks as it did when it was encoded: the mean absolute difference of the values,
// over 255, is at most `threshold`; 0 means equal. Both of one size. Thread-safety: safe.
bool looks_alike(std::span<const std::uint8_t> encoded, std::span<const std::uint8_t> now,
                 double threshold);

// Keeps the view of the request that ended last. Views are immutable, so that requests that run at
// the same time may look at one while another takes its place.
class CropMemory : public StreamMemory {
 public:
  std::uint64_t bytes() const override;  // pixels and features

  std::shared_ptr<const Sight> last() const;  // null: none yet
  void keep(Sight sight);

 private:
  mutable std::mutex mutex_;           // held for copying the pointer alone
  std::shared_ptr<const Sight> last_;  // mutex_
};

}  // namespace moondream
