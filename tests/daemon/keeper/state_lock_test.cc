#include "daemon/keeper/state_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(LockRecordTest, ReadsWhatItWrote) {
  const LockRecord read =
      ParseLockRecord(RenderLockRecord({.keeper = 12, .cgroups = {"/a", "/b c"}}));
  EXPECT_EQ(read.keeper, 12);
  EXPECT_THAT(read.cgroups, ElementsAre("/a", "/b c"));
}

TEST(LockRecordTest, WhatIsNoRecordIsEmpty) {
  for (const char* text : {"", "\n", "x\n/a\n", "12x\n/a\n", "-1\n/a\n", "0\n/a\n",
                           "99999999999999999999\n/a\n", "1 2\n"}) {
    const LockRecord read = ParseLockRecord(text);
    EXPECT_EQ(read.keeper, 0) << text;
    EXPECT_THAT(read.cgroups, IsEmpty()) << text;
  }
}

TEST(StateLockTest, MakesAPrivateDirectory) {
  const TempDir directory;
  const std::string state = directory.At("state");
  ASSERT_TRUE(StateLock::Take(state, ::geteuid()).ok());
  struct stat status = {};
  ASSERT_EQ(::stat(state.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
}

TEST(StateLockTest, ASecondOneIsToldWhoHoldsIt) {
  const TempDir directory;
  const auto first = StateLock::Take(directory.At("state"), ::geteuid());
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(first.value().Write({.keeper = 4711, .cgroups = {}}).ok());
  const auto second = StateLock::Take(directory.At("state"), ::geteuid());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(second.error().message, HasSubstr("process id 4711"));
}

TEST(StateLockTest, WhoeverFollowsLearnsWhatIsLeft) {
  const TempDir directory;
  {
    const auto first = StateLock::Take(directory.At("state"), ::geteuid());
    ASSERT_TRUE(first.ok());
    ASSERT_TRUE(first.value().Write({.keeper = 4711, .cgroups = {"/cg/cloister-4711"}}).ok());
  }
  const auto second = StateLock::Take(directory.At("state"), ::geteuid());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second.value().left_over().keeper, 4711);
  EXPECT_THAT(second.value().left_over().cgroups, ElementsAre("/cg/cloister-4711"));
}

TEST(StateLockTest, ARecordThatGotShorterHasNoOldEnd) {
  const TempDir directory;
  const auto lock = StateLock::Take(directory.At("state"), ::geteuid());
  ASSERT_TRUE(lock.ok());
  ASSERT_TRUE(lock.value().Write({.keeper = 123456, .cgroups = {"/a", "/b"}}).ok());
  ASSERT_TRUE(lock.value().Write({.keeper = 7, .cgroups = {}}).ok());
  EXPECT_EQ(directory.Read("state/lock"), "7\n");
}

TEST(StateLockTest, ALockFileThatIsALinkIsRefused) {
  const TempDir directory;
  directory.Write("victim", "text");
  std::filesystem::create_directory(directory.At("state"));
  std::filesystem::create_symlink(directory.At("victim"), directory.At("state/lock"));
  EXPECT_FALSE(StateLock::Take(directory.At("state"), ::geteuid()).ok());
  EXPECT_EQ(directory.Read("victim"), "text");
}

TEST(StateLockTest, AFileInItsPlaceIsAnErrorWithThePath) {
  const TempDir directory;
  directory.Write("state", "");
  const auto taken = StateLock::Take(directory.At("state"), ::geteuid());
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message, HasSubstr(directory.At("state")));
}

}  // namespace
}  // namespace cloister
