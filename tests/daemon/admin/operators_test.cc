#include "daemon/admin/operators.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>

#include "tests/support/fake_clock.h"

namespace cloister {
namespace {

constexpr std::uint32_t kNobody = 65534;
constexpr std::uint32_t kNoUser = 3'999'999'999;

TEST(OperatorsTest, RootAndTheNamedUsersAlways) {
  const FakeClock clock;
  Operators operators(clock, {1000, 1'900'000'000}, "");
  EXPECT_TRUE(operators.Allows(0, kNobody));
  EXPECT_TRUE(operators.Allows(1000, kNobody));
  EXPECT_TRUE(operators.Allows(1'900'000'000, 1'900'000'000));
  EXPECT_FALSE(operators.Allows(1001, 0)) << "root's group is not root";
  EXPECT_FALSE(operators.Allows(kNobody, kNobody));
}

TEST(OperatorsTest, AGroupThatDoesNotExistAllowsNobody) {
  const FakeClock clock;
  Operators operators(clock, {}, "no-such-group-here");
  EXPECT_FALSE(operators.Allows(kNobody, kNobody));
  EXPECT_FALSE(operators.Allows(kNoUser, 0));
}

TEST(OperatorsTest, MembersByTheirPrimaryGroupOrTheDatabase) {
  const FakeClock clock;
  const passwd* daemon = ::getpwnam("daemon");
  const group* group = ::getgrnam("daemon");
  ASSERT_NE(daemon, nullptr);
  ASSERT_NE(group, nullptr);
  Operators operators(clock, {}, "daemon");
  EXPECT_TRUE(operators.Allows(kNoUser, group->gr_gid)) << "the process runs with that group";
  EXPECT_TRUE(operators.Allows(daemon->pw_uid, kNobody)) << "the database says so";
  EXPECT_FALSE(operators.Allows(kNoUser, kNobody));
}

}  // namespace
}  // namespace cloister
