#include "apis/base/directories.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

TEST(DirectoriesTest, ThoseThatAreMissingAreMadeOursAlone) {
  const TempDir dir;
  ASSERT_TRUE(MakeDirectories(dir.At("apps/3/log"), 3).ok());
  for (const char* path : {"apps", "apps/3", "apps/3/log"}) {
    struct stat status = {};
    ASSERT_EQ(::stat(dir.At(path).c_str(), &status), 0) << path;
    EXPECT_EQ(status.st_mode, S_IFDIR | mode_t{0700}) << path;
  }
}

TEST(DirectoriesTest, NoMoreLevelsAreMadeThanAskedFor) {
  const TempDir dir;
  EXPECT_FALSE(MakeDirectories(dir.At("apps/3/log"), 2).ok());
  EXPECT_FALSE(std::filesystem::exists(dir.At("apps")));
}

TEST(DirectoriesTest, OneThatIsThereIsLeftAndOneThatWasRemovedIsMadeAgain) {
  const TempDir dir;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(MakeDirectories(dir.At("apps/3"), 2).ok());
    dir.Write("apps/3/file", "x");
    ASSERT_TRUE(MakeDirectories(dir.At("apps/3"), 2).ok());
    EXPECT_EQ(dir.Read("apps/3/file"), "x");
    std::filesystem::remove_all(dir.At("apps/3"));
  }
}

TEST(DirectoriesTest, WhatIsInTheWayIsAnError) {
  const TempDir dir;
  dir.Write("apps", "a file");
  EXPECT_FALSE(MakeDirectories(dir.At("apps/3"), 2).ok());
}

TEST(DirectoriesTest, SyncingWhatIsNotThereIsAnError) {
  const TempDir dir;
  EXPECT_TRUE(SyncDirectory(dir.path()).ok());
  EXPECT_FALSE(SyncDirectory(dir.At("none")).ok());
}

}  // namespace
}  // namespace cloister
