// The policy of a query process whose database is on a server, said a second time by hand.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <set>

#include "sandbox/steps/seccomp.h"
#include "tests/sandbox/steps/built_policy.h"

namespace cloister {
namespace {

class QueryServerPolicyTest : public ::testing::Test {
 protected:
  const BuiltPolicy policy_{QueryServerAllowedCalls()};
};

TEST_F(QueryServerPolicyTest, NoOtherCallIsAllowedWhateverItsArguments) {
  const std::set<int> allowed = {
      SYS_write,           SYS_recvfrom,      SYS_sendto,      SYS_recvmsg,   SYS_poll,
      SYS_close,           SYS_mmap,          SYS_munmap,      SYS_mremap,    SYS_mprotect,
      SYS_madvise,         SYS_brk,           SYS_futex,       SYS_getrandom, SYS_exit_group,
      SYS_restart_syscall, SYS_clock_gettime, SYS_gettimeofday};
  EXPECT_EQ(18U, allowed.size());
  policy_.ExpectNoneBut(allowed);
}

TEST_F(QueryServerPolicyTest, NoSocketIsMadeConnectedOrPassedOn) {
  for (const int number : {SYS_socket, SYS_connect, SYS_bind, SYS_listen, SYS_accept4, SYS_sendmsg,
                           SYS_sendmmsg, SYS_socketpair, SYS_dup, SYS_dup3, SYS_fcntl})
    EXPECT_FALSE(policy_.Allows(number, {1, 1, 0})) << number;
  EXPECT_TRUE(policy_.Allows(SYS_recvmsg, {4}));
  EXPECT_FALSE(policy_.Allows(SYS_recvmsg, {5}));
  EXPECT_TRUE(policy_.Allows(SYS_sendto, {9, 1, 1, MSG_NOSIGNAL, 0, 0}));
  EXPECT_TRUE(policy_.Allows(SYS_sendto, {9, 1, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0}));
  EXPECT_FALSE(policy_.Allows(SYS_sendto, {9, 1, 1, MSG_NOSIGNAL, 1, 16}));
  EXPECT_FALSE(policy_.Allows(SYS_sendto, {9, 1, 1, MSG_OOB, 0, 0}));
  EXPECT_FALSE(policy_.Allows(SYS_recvfrom, {9, 1, 1, 0, 1, 1}));
}

TEST_F(QueryServerPolicyTest, NoFileIsWrittenOrMapped) {
  EXPECT_TRUE(policy_.Allows(SYS_write, {3}));
  EXPECT_FALSE(policy_.Allows(SYS_write, {5}));
  EXPECT_FALSE(policy_.Allows(SYS_mmap, {0, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 7, 0}));
  EXPECT_FALSE(
      policy_.Allows(SYS_mmap, {0, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, 0, 0}));
  EXPECT_FALSE(policy_.Allows(SYS_mprotect, {0, 1, PROT_EXEC}));
}

}  // namespace
}  // namespace cloister
