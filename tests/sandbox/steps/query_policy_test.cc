// The policy of cloister-query, said a second time by hand.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <set>

#include "sandbox/steps/seccomp.h"
#include "tests/sandbox/steps/bpf.h"

namespace cloister {
namespace {

const SeccompProgram& Filter() {
  static const SeccompProgram filter = [] {
    auto built = BuildFilter(QueryAllowedCalls(), RefusedCalls());
    EXPECT_TRUE(built.ok());
    return std::move(built).value();
  }();
  return filter;
}

bool Allows(int number, std::initializer_list<std::uint64_t> arguments = {},
            std::uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data = {};
  data.nr = number;
  data.arch = arch;
  std::size_t index = 0;
  for (const std::uint64_t argument : arguments)
    data.args[index++] = argument;
  return EvaluateBpf(Filter(), data) == SECCOMP_RET_ALLOW;
}

TEST(QueryPolicyTest, NoOtherCallIsAllowedWhateverItsArguments) {
  const std::set<int> allowed = {
      SYS_read,   SYS_write,     SYS_recvfrom,      SYS_sendto,          SYS_recvmsg,
      SYS_poll,   SYS_close,     SYS_pread64,       SYS_pwrite64,        SYS_lseek,
      SYS_fsync,  SYS_fdatasync, SYS_ftruncate,     SYS_fstat,           SYS_fcntl,
      SYS_mmap,   SYS_munmap,    SYS_mremap,        SYS_mprotect,        SYS_madvise,
      SYS_brk,    SYS_futex,     SYS_exit_group,    SYS_rt_sigreturn,    SYS_restart_syscall,
      SYS_getpid, SYS_getrandom, SYS_clock_gettime, SYS_clock_nanosleep, SYS_gettimeofday};
  EXPECT_EQ(30U, allowed.size());
  for (int number = -1; number <= 600; ++number) {
    if (allowed.contains(number))
      continue;
    for (const std::uint64_t value : {0ULL, 3ULL, 4ULL, ~0ULL})
      EXPECT_FALSE(Allows(number, {value, value, value, value, value, value})) << number;
  }
}

TEST(QueryPolicyTest, NoCallOfAnotherAbiIsAllowed) {
  for (int number = 0; number <= 600; ++number) {
    EXPECT_FALSE(Allows(number, {}, AUDIT_ARCH_I386)) << number;
    EXPECT_FALSE(Allows(number | 0x40000000)) << number;
  }
}

TEST(QueryPolicyTest, DescriptorsComeFromTheNodeOnly) {
  EXPECT_TRUE(Allows(SYS_recvmsg, {4}));
  EXPECT_FALSE(Allows(SYS_recvmsg, {3}));
  EXPECT_FALSE(Allows(SYS_recvmsg, {20}));
  EXPECT_FALSE(Allows(SYS_sendmsg, {4}));
  EXPECT_TRUE(Allows(SYS_sendto, {9, 1, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0}));
  EXPECT_FALSE(Allows(SYS_sendto, {9, 1, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 1, 16}));
  EXPECT_FALSE(Allows(SYS_sendto, {9, 1, 1, 0, 0, 0}));
}

TEST(QueryPolicyTest, MemoryIsNeverExecutable) {
  EXPECT_TRUE(Allows(SYS_mmap, {0, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 7, 0}));
  EXPECT_FALSE(Allows(SYS_mmap, {0, 1, PROT_READ | PROT_EXEC, MAP_SHARED, 7, 0}));
  EXPECT_FALSE(Allows(SYS_mmap, {0, 1, PROT_READ, MAP_PRIVATE, 7, 0}));
  EXPECT_FALSE(Allows(SYS_mprotect, {0, 1, PROT_EXEC}));
}

TEST(QueryPolicyTest, DescriptorsAreLockedAndDuplicatedOnly) {
  for (const int command : {F_SETLK, F_GETLK, F_DUPFD_CLOEXEC})
    EXPECT_TRUE(Allows(SYS_fcntl, {7, static_cast<std::uint64_t>(command)}));
  for (const int command : {F_SETFL, F_DUPFD, F_SETOWN, F_SETLEASE, F_SETLKW})
    EXPECT_FALSE(Allows(SYS_fcntl, {7, static_cast<std::uint64_t>(command)}));
}

}  // namespace
}  // namespace cloister
