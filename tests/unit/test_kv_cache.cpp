#include "kv_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace moondream {
namespace {

TEST(KvCache, KeepsWhatWasAppendedInOrderHoweverItGrows) {
  for (const int reserved : {0, 2, 100}) {
    at::manual_seed(1);
    KvCache cache(2);
    cache.reserve(reserved);
    EXPECT_EQ(cache.length(), 0);
    std::vector<at::Tensor> keys, values;
    for (const int tokens : {1, 5, 2, 1, 9}) {
      keys.push_back(at::randn({tokens, 3, 4}));
      values.push_back(at::randn({tokens, 3, 4}));
      for (const int layer : {0, 1}) {
        cache.append(layer, keys.back() + layer, values.back() - layer);
      }
    }
    ASSERT_EQ(cache.length(), 18);
    for (const int layer : {0, 1}) {
      EXPECT_TRUE(at::equal(cache.k(layer), at::cat(keys).transpose(0, 1) + layer));
      EXPECT_TRUE(at::equal(cache.v(layer), at::cat(values).transpose(0, 1) - layer));
    }
  }
}

}  // namespace
}  // namespace moondream
