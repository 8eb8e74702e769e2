// The policy of cloister-query, said a second time by hand.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <set>

#include "sandbox/steps/seccomp.h"
#include "tests/sandbox/steps/built_policy.h"

namespace cloister {
namespace {

class QueryPolicyTest : public ::testing::Test {
 protected:
  const BuiltPolicy policy_{QueryAllowedCalls()};
};

TEST_F(QueryPolicyTest, NoOtherCallIsAllowedWhateverItsArguments) {
  const std::set<int> allowed = {
      SYS_read,   SYS_write,     SYS_recvfrom,      SYS_sendto,          SYS_recvmsg,
      SYS_poll,   SYS_close,     SYS_pread64,       SYS_pwrite64,        SYS_lseek,
      SYS_fsync,  SYS_fdatasync, SYS_ftruncate,     SYS_fstat,           SYS_fcntl,
      SYS_mmap,   SYS_munmap,    SYS_mremap,        SYS_mprotect,        SYS_madvise,
      SYS_brk,    SYS_futex,     SYS_exit_group,    SYS_rt_sigreturn,    SYS_restart_syscall,
      SYS_getpid, SYS_getrandom, SYS_clock_gettime, SYS_clock_nanosleep, SYS_gettimeofday};
  EXPECT_EQ(30U, allowed.size());
  policy_.ExpectNoneBut(allowed);
}

TEST_F(QueryPolicyTest, DescriptorsComeFromTheNodeOnly) {
  EXPECT_TRUE(policy_.Allows(SYS_recvmsg, {4}));
  EXPECT_FALSE(policy_.Allows(SYS_recvmsg, {3}));
  EXPECT_FALSE(policy_.Allows(SYS_recvmsg, {20}));
  EXPECT_FALSE(policy_.Allows(SYS_sendmsg, {4}));
  EXPECT_TRUE(policy_.Allows(SYS_sendto, {9, 1, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0}));
  EXPECT_FALSE(policy_.Allows(SYS_sendto, {9, 1, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 1, 16}));
  EXPECT_FALSE(policy_.Allows(SYS_sendto, {9, 1, 1, 0, 0, 0}));
}

TEST_F(QueryPolicyTest, MemoryIsNeverExecutable) {
  EXPECT_TRUE(policy_.Allows(SYS_mmap, {0, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 7, 0}));
  EXPECT_FALSE(policy_.Allows(SYS_mmap, {0, 1, PROT_READ | PROT_EXEC, MAP_SHARED, 7, 0}));
  EXPECT_FALSE(policy_.Allows(SYS_mmap, {0, 1, PROT_READ, MAP_PRIVATE, 7, 0}));
  EXPECT_FALSE(policy_.Allows(SYS_mprotect, {0, 1, PROT_EXEC}));
}

TEST_F(QueryPolicyTest, DescriptorsAreLockedAndDuplicatedOnly) {
  for (const int command : {F_SETLK, F_GETLK, F_DUPFD_CLOEXEC})
    EXPECT_TRUE(policy_.Allows(SYS_fcntl, {7, static_cast<std::uint64_t>(command)}));
  for (const int command : {F_SETFL, F_DUPFD, F_SETOWN, F_SETLEASE, F_SETLKW})
    EXPECT_FALSE(policy_.Allows(SYS_fcntl, {7, static_cast<std::uint64_t>(command)}));
}

}  // namespace
}  // namespace cloister
