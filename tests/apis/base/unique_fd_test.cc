#include "apis/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

#include "apis/base/check.h"

namespace cloister {
namespace {

bool IsOpen(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

UniqueFd OpenNull() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST(UniqueFdTest, ClosesWhatItOwns) {
  int number = -1;
  {
    const UniqueFd fd = OpenNull();
    number = fd.get();
    EXPECT_TRUE(fd.valid());
    EXPECT_TRUE(IsOpen(number));
  }
  EXPECT_FALSE(IsOpen(number));
}

TEST(UniqueFdTest, MovesAndReleases) {
  UniqueFd first = OpenNull();
  const int number = first.get();
  UniqueFd second = std::move(first);
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): what a moved one is
  EXPECT_EQ(number, second.get());
  UniqueFd third = OpenNull();
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_FALSE(IsOpen(replaced));
  EXPECT_EQ(number, third.Release());
  EXPECT_FALSE(third.valid());
  EXPECT_TRUE(IsOpen(number));
  third.Reset(number);
  third.Reset();
  EXPECT_FALSE(IsOpen(number));
}

TEST(CheckTest, ABugSaysWhereItIsAndStops) {
  CHECK(1 + 1 == 2);
  EXPECT_DEATH(CHECK(1 + 1 == 3), "unique_fd_test.cc:[0-9]+: CHECK failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace cloister
