// The head that refines masks of outlines: a small decoder of masks over features of the vision
// encoder. Port of _RefinementHead in kestrel/seg_refiner.py of m87-labs/kestrel, later than
// 94d7890 (which has HQ-SAM instead); its weights are published as SegHeadRefiner.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <filesystem>
#include <map>
#include <string>

#include "config.h"

namespace moondream {

// Letters: P patches of a crop (729) in rows and columns of G (27), E enc_dim (1152), C width of
// the head (256), M masks (4), S side of a mask (378).
// Thread-safety: const methods are safe; weights are only read.
class SegRefiner {
 public:
  // The block of the vision encoder whose output is the early features.
  static constexpr std::int64_t kEarlyBlock = 8;

  // Reads the head's model.pt, a file of its tensors or a directory with one, for a model with this
  // vision encoder. Widths are read off the tensors.
  // Throws Error as open_weights() does; kMismatch, naming the tensor, if one is missing or does
  // not fit.
  SegRefiner(const std::filesystem::path &path, const VisionConfig &vision, c10::Device device,
             c10::ScalarType dtype);

  struct Masks {
    at::Tensor logits;   // [M, S, S]
    at::Tensor quality;  // [M]: how well each is expected to fit
  };

  // One step. final_features and early_features: [P, E], dtype and device of the weights;
  // mask: [S, S] in [0, 1].
  Masks masks(const at::Tensor &final_features, const at::Tensor &early_features,
              const at::Tensor &mask) const;

  // Five steps, each from the best mask of the one before -> float32 [S, S] in [0, 1], CPU.
  at::Tensor refine(const at::Tensor &final_features, const at::Tensor &early_features,
                    const at::Tensor &mask) const;

  std::uint64_t bytes() const;

 private:
  const at::Tensor &weight(const std::string &name) const;
  void expect(const std::string &name, at::IntArrayRef shape) const;
  // Reads the widths off the tensors, and sees to it that all are there and fit.
  void check(const VisionConfig &vision);
  at::Tensor linear(const std::string &name, const at::Tensor &x) const;
  at::Tensor layer_norm(const std::string &name, const at::Tensor &x) const;
  // Over channels. x: [1, C, H, W].
  at::Tensor layer_norm_2d(const std::string &name, const at::Tensor &x) const;
  at::Tensor conv(const std::string &name, const at::Tensor &x, std::int64_t stride,
                  std::int64_t padding) const;
  at::Tensor group_norm(const std::string &name, const at::Tensor &x, std::int64_t groups) const;
  // A multi-head attention of torch.nn. q: [T, C], k and v: [N, C] -> [T, C].
  at::Tensor attention(const std::string &name, const at::Tensor &q, const at::Tensor &k,
                       const at::Tensor &v, std::int64_t heads) const;
  at::Tensor encode_mask(const at::Tensor &mask) const;
  at::Tensor fuse(const at::Tensor &final_features, const at::Tensor &early_features) const;
  at::Tensor upsample(at::Tensor x) const;

  std::filesystem::path path_;
  std::map<std::string, at::Tensor> weights_;
  std::int64_t grid_ = 0, dim_ = 0, masks_ = 0;
};

}  // namespace moondream
