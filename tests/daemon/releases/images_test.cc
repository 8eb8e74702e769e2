#include "daemon/releases/images.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sandbox/image/image.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

using Fd = std::shared_ptr<const UniqueFd>;

class ImagesTest : public NodeTest {
 protected:
  Result<Fd> Load(ReleaseId release) {
    std::optional<Result<Fd>> image;
    images->LoadImage(release, [&](Result<Fd> loaded) { image = std::move(loaded); });
    EXPECT_FALSE(image) << "the answer comes later";
    EXPECT_TRUE(RunUntil(loop, [&] { return image.has_value(); }));
    return std::move(*image);
  }
  ReleaseId Deployed(const std::string& version) {
    return Deploy(HelloFiles(version)).value().release.id;
  }
};

TEST_F(ImagesTest, TheImageIsWhatWasUploaded) {
  StartWithApp();
  const ReleaseId release = Deployed("1.0.0");
  Crash();
  Start();
  const Fd fd = Load(release).value();
  const Image image = std::move(Image::Open(fd->get(), Image::NeedSeals::kYes)).value();
  ASSERT_EQ(image.size(), 3U);
  for (const auto& [path, bytes] : HelloFiles("1.0.0"))
    EXPECT_EQ(image.Find(path)->contents, bytes);
  EXPECT_EQ(image.Find("main.py")->code, "code of main.py");
}

TEST_F(ImagesTest, TheNodeReadsTheSameImageWithTheHashesOfItsFiles) {
  StartWithApp();
  const ReleaseId release = Deployed("1.0.0");
  Crash();
  Start();
  std::optional<Result<std::shared_ptr<const StaticImage>>> loaded;
  images->LoadStatics(release, [&](auto image) { loaded = std::move(image); });
  EXPECT_FALSE(loaded) << "the answer comes later";
  ASSERT_TRUE(RunUntil(loop, [&] { return loaded.has_value(); }));
  ASSERT_TRUE(loaded->ok()) << loaded->error().message;
  for (const auto& [path, bytes] : HelloFiles("1.0.0")) {
    const std::optional<StaticFile> file = loaded->value()->Find(path);
    ASSERT_TRUE(file.has_value()) << path;
    EXPECT_EQ(file->contents, bytes);
    EXPECT_EQ(file->sha256, Sha256Of(bytes));
  }
  loaded.reset();
  images->LoadStatics(ReleaseId{999}, [&](auto image) { loaded = std::move(image); });
  ASSERT_TRUE(RunUntil(loop, [&] { return loaded.has_value(); }));
  EXPECT_FALSE(loaded->ok());
}

TEST_F(ImagesTest, ItIsBuiltOnceForAllWhoAsk) {
  StartWithApp();
  const ReleaseId release = Deployed("1.0.0");
  Crash();
  Start();
  std::vector<Fd> got;
  for (int i = 0; i < 3; ++i)
    images->LoadImage(release, [&](Result<Fd> image) { got.push_back(image.value()); });
  ASSERT_TRUE(RunUntil(loop, [&] { return got.size() == 3; }));
  got.push_back(Load(release).value());
  for (const Fd& fd : got)
    EXPECT_EQ(fd, got.front());
}

TEST_F(ImagesTest, WhatIsForgottenAndUnusedIsBuiltAgain) {
  StartWithApp();
  const ReleaseId release = Deployed("1.0.0");
  Crash();
  Start();
  const auto inode = [](const Fd& fd) {
    struct stat status = {};
    EXPECT_EQ(::fstat(fd->get(), &status), 0);
    return status.st_ino;
  };
  Fd held = Load(release).value();
  const auto first = inode(held);
  images->Forget(release);
  EXPECT_EQ(inode(Load(release).value()), first) << "somebody still holds it";
  held.reset();
  images->Forget(release);
  const std::weak_ptr<const UniqueFd> gone = held;
  EXPECT_TRUE(gone.expired());
  EXPECT_TRUE(Load(release).ok());
}

TEST_F(ImagesTest, TheBudgetKeepsTheLatest) {
  StartWithApp();
  const ReleaseId one = Deployed("1.0.0");
  const ReleaseId two = Deployed("2.0.0");
  Images small(loop, *state, {.budget = Bytes{1}, .magic = Images::RuntimeMagic()});
  std::weak_ptr<const UniqueFd> first;
  std::weak_ptr<const UniqueFd> second;
  small.LoadImage(one, [&](Result<Fd> image) { first = image.value(); });
  ASSERT_TRUE(RunUntil(loop, [&] { return !first.expired(); }));
  small.LoadImage(two, [&](Result<Fd> image) { second = image.value(); });
  ASSERT_TRUE(RunUntil(loop, [&] { return !second.expired(); }));
  EXPECT_TRUE(first.expired());
}

TEST_F(ImagesTest, ANodeThatDrainsStillBuildsThem) {
  StartWithApp();
  const ReleaseId release = Deployed("1.0.0");
  Crash();
  Start();
  bool closed = false;
  state->CloseWriter([&] { closed = true; });
  ASSERT_TRUE(RunUntil(loop, [&] { return closed; }));
  const Result<Fd> image = Load(release);
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_TRUE(image.value()->valid());
}

TEST_F(ImagesTest, AReleaseThatIsNotThereIsAnError) {
  StartWithApp();
  EXPECT_EQ(Load({4711}).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(Load({4711}).ok()) << "an error is not remembered as an image";
}

}  // namespace
}  // namespace cloister
