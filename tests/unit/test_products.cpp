// Products on one and on several threads, against sums in double.
#include "products.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "device.h"
#include "parallel.h"

namespace moondream::ops {
namespace {

// The calling thread's number of threads, for as long as this lives.
class Threads {
 public:
  explicit Threads(int count) : before_(loop_threads()) { use_cpu_threads(count); }
  ~Threads() { set_loop_threads(before_); }
  Threads(const Threads &) = delete;
  Threads &operator=(const Threads &) = delete;

 private:
  const int before_;
};

// What float32 sums of n products of numbers around 1 may be off: they grow to about sqrt(n), and
// each addition rounds in the 24th bit.
double tolerance(std::int64_t n) { return 1e-6 * static_cast<double>(n); }

void expect_near(const at::Tensor &found, const at::Tensor &expected, double most) {
  ASSERT_EQ(found.sizes(), expected.sizes());
  EXPECT_LE((found.to(at::kDouble) - expected).abs().max().item<double>(), most);
}

struct Shape {
  std::int64_t rows, in, out;
};

// Small enough for one thread; cut by rows; cut by columns; one row; parts of unequal size.
constexpr Shape kShapes[] = {{1, 8, 8},      {3, 5, 7},      {729, 32, 96}, {512, 128, 64},
                             {1, 1024, 777}, {5, 600, 1001}, {97, 301, 203}};

TEST(LinearProduct, IsTheSumOfProductsOnAnyNumberOfThreads) {
  at::manual_seed(1);
  for (const int threads : {1, 2, 3, 8}) {
    const Threads some(threads);
    for (const Shape &shape : kShapes) {
      SCOPED_TRACE(testing::Message() << threads << " threads, " << shape.rows << " x " << shape.in
                                      << " x " << shape.out);
      const at::Tensor x = at::randn({shape.rows, shape.in});
      const at::Tensor w = at::randn({shape.out, shape.in}), b = at::randn({shape.out});
      const at::Tensor sums = x.to(at::kDouble).matmul(w.to(at::kDouble).t());
      expect_near(linear_product(x, w, {}), sums, tolerance(shape.in));
      expect_near(linear_product(x, w, b), sums + b, tolerance(shape.in));
    }
  }
}

TEST(LinearProduct, TakesAnyShapeAndLayoutOfRows) {
  const Threads some(2);
  const at::Tensor x = at::randn({300, 2, 64, 40}).transpose(2, 3);  // rows are not contiguous
  const at::Tensor w = at::randn({48, 64}), b = at::randn({48});
  const at::Tensor sums = x.to(at::kDouble).matmul(w.to(at::kDouble).t()) + b;
  expect_near(linear_product(x, w, b), sums, tolerance(64));
  EXPECT_EQ(linear_product(at::randn({0, 64}), w, b).sizes(), (at::IntArrayRef{0, 48}));
}

TEST(LinearProduct, MultipliesBfloat16) {
  at::manual_seed(4);
  const Threads some(2);
  for (const Shape &shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.in << " x " << shape.out);
    const at::Tensor x = at::randn({shape.rows, shape.in}).to(at::kBFloat16);
    const at::Tensor w = at::randn({shape.out, shape.in}).to(at::kBFloat16);
    const at::Tensor b = at::randn({shape.out}).to(at::kBFloat16);
    const at::Tensor sums = x.to(at::kDouble).matmul(w.to(at::kDouble).t()) + b.to(at::kDouble);
    // Rounded to 8 bits at the end, and some LibTorch round once before the bias is added.
    expect_near(linear_product(x, w, b), sums, sums.abs().max().item<double>() * 0x1p-7);
  }
}

TEST(BatchedProduct, IsTheSumOfProductsOnAnyNumberOfThreads) {
  at::manual_seed(2);
  for (const int threads : {1, 2, 3, 8}) {
    const Threads some(threads);
    for (const std::int64_t n : {1, 2, 5, 16}) {
      const at::Tensor a = at::randn({n, 70, 64}), b = at::randn({n, 90, 64}).transpose(1, 2);
      expect_near(batched_product(a, b), at::bmm(a.to(at::kDouble), b.to(at::kDouble)),
                  tolerance(64));
    }
  }
}

TEST(LinearProduct, IsTheSameForCallersOnSeveralThreads) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({729, 64}), w = at::randn({192, 64}), b = at::randn({192});
  const at::Tensor sums = x.to(at::kDouble).matmul(w.to(at::kDouble).t()) + b;
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      const Threads some(2);
      for (int again = 0; again < 20; ++again) {
        expect_near(linear_product(x, w, b), sums, tolerance(64));
      }
    });
  }
  for (std::thread &caller : callers) caller.join();
}

// Fails where oneDNN drops what it prepared; see keep_prepared_products(). This program begins with
// room for 16 shapes (DNNL_PRIMITIVE_CACHE_CAPACITY), with which it did so each time; with the
// usual room, it depends on what the freed memory holds by then.
TEST(LinearProduct, WorksAfterOtherThreadsHadManyShapes) {
  constexpr std::int64_t kWidth = 128, kManyShapes = 200, kRows = 7;
  at::manual_seed(4);
  const auto type = at::TensorOptions().dtype(at::kBFloat16);
  const at::Tensor w = at::randn({kWidth, kWidth}, type), b = at::randn({kWidth}, type);
  const at::Tensor x = at::randn({kManyShapes, kWidth}, type);
  const auto product = [&](std::int64_t rows) {
    return linear_product(x.narrow(0, 0, rows), w, b);
  };
  const auto on_another_thread = [](const auto &what) {
    std::thread([&what] {
      const Threads one(1);
      what();
    }).join();
  };
  const Threads one(1);
  on_another_thread([&] { product(kRows); });
  const at::Tensor before = product(kRows);
  on_another_thread([&] {
    for (std::int64_t rows = 1; rows <= kManyShapes; ++rows) {
      if (rows != kRows) product(rows);
    }
  });
  EXPECT_TRUE(product(kRows).equal(before));
}

}  // namespace
}  // namespace moondream::ops
