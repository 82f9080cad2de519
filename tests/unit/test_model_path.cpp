#include "model_path.h"

#include <gtest/gtest.h>

#include "weights_support.h"

namespace moondream {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::says;
using test::TempDir;
using test::write_file;

constexpr const char *kOld = "0123456789abcdef0123456789abcdef01234567";
constexpr const char *kNew = "89abcdef0123456789abcdef0123456789abcdef";

// A cache directory as huggingface_hub makes it, with these snapshots.
fs::path make_cache(const TempDir &dir, const std::vector<std::string> &snapshots) {
  fs::path repository = dir / "models--vikhyatk--moondream2";
  fs::create_directories(repository / "refs");
  fs::create_directories(repository / "blobs");
  fs::create_directories(repository / "snapshots");
  write_file(repository / "blobs" / "f00d", "weights");
  for (const std::string &snapshot : snapshots) {
    fs::create_directories(repository / "snapshots" / snapshot);
    fs::create_symlink("../../blobs/f00d",
                       repository / "snapshots" / snapshot / "model.safetensors");
  }
  return repository;
}

TEST(ModelPath, CacheStandsForTheSnapshotThatMainNames) {
  const TempDir dir;
  const fs::path repository = make_cache(dir, {kOld, kNew});
  write_file(repository / "refs" / "main", kNew);
  for (const fs::path &path : {repository, repository / ""}) {
    const ModelPath found = find_model(path);
    EXPECT_EQ(found.path, repository / "snapshots" / kNew);
    EXPECT_EQ(found.name, "vikhyatk/moondream2");
    EXPECT_EQ(test::file_contents(found.path / "model.safetensors"), "weights");
  }
}

TEST(ModelPath, OnlySnapshotNeedsNoRef) {
  const TempDir dir;
  const fs::path repository = make_cache(dir, {kOld});
  EXPECT_EQ(find_model(repository).path, repository / "snapshots" / kOld);
  // Nor one that is still there.
  write_file(repository / "refs" / "main", kNew);
  EXPECT_EQ(find_model(repository).path, repository / "snapshots" / kOld);
}

TEST(ModelPath, SnapshotsAndFilesInThemAreNamedAfterTheModel) {
  const TempDir dir;
  const fs::path snapshot = make_cache(dir, {kOld, kNew}) / "snapshots" / kOld;
  for (const fs::path &path : {snapshot, snapshot / "model.safetensors"}) {
    EXPECT_EQ(find_model(path).path, path);
    EXPECT_EQ(find_model(path).name, "vikhyatk/moondream2");
  }
}

TEST(ModelPath, SnapshotsAreNotChosenFromSilently) {
  const TempDir dir;
  const fs::path repository = make_cache(dir, {kOld, kNew});
  for (const char *ref : {"", "../../elsewhere", "00"}) {
    write_file(repository / "refs" / "main", ref);
    const Error error = error_of([&] { find_model(repository); });
    EXPECT_EQ(error.kind(), ErrorKind::kSettings);
    EXPECT_TRUE(says(error, std::string(kOld) + ", " + kNew)) << error.what();
  }
}

TEST(ModelPath, CacheWithoutSnapshotsIsNotFound) {
  const TempDir dir;
  const fs::path repository = make_cache(dir, {});
  const Error error = error_of([&] { find_model(repository); });
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(says(error, repository.string())) << error.what();
}

TEST(ModelPath, OtherPathsStandForThemselves) {
  const TempDir dir;
  for (const fs::path &path : {dir.path(), dir.path() / "", dir / "model.pt", dir / "gone"}) {
    EXPECT_EQ(find_model(path).path, path);
  }
  EXPECT_EQ(find_model(dir / "model.pt").name, "model.pt");
  EXPECT_EQ(find_model(dir.path() / "").name, dir.path().filename());
}

}  // namespace
}  // namespace moondream
