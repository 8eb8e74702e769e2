// The policy of a query process whose database is on a server, said a second time by hand.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
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
    auto built = BuildFilter(QueryServerAllowedCalls(), RefusedCalls());
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

TEST(QueryServerPolicyTest, NoOtherCallIsAllowedWhateverItsArguments) {
  const std::set<int> allowed = {
      SYS_write,           SYS_recvfrom,      SYS_sendto,      SYS_recvmsg,   SYS_poll,
      SYS_close,           SYS_mmap,          SYS_munmap,      SYS_mremap,    SYS_mprotect,
      SYS_madvise,         SYS_brk,           SYS_futex,       SYS_getrandom, SYS_exit_group,
      SYS_restart_syscall, SYS_clock_gettime, SYS_gettimeofday};
  EXPECT_EQ(18U, allowed.size());
  for (int number = -1; number <= 600; ++number) {
    if (allowed.contains(number))
      continue;
    for (const std::uint64_t value : {0ULL, 3ULL, 4ULL, ~0ULL})
      EXPECT_FALSE(Allows(number, {value, value, value, value, value, value})) << number;
  }
}

TEST(QueryServerPolicyTest, NoSocketIsMadeConnectedOrPassedOn) {
  for (const int number : {SYS_socket, SYS_connect, SYS_bind, SYS_listen, SYS_accept4, SYS_sendmsg,
                           SYS_sendmmsg, SYS_socketpair, SYS_dup, SYS_dup3, SYS_fcntl})
    EXPECT_FALSE(Allows(number, {1, 1, 0})) << number;
  EXPECT_TRUE(Allows(SYS_recvmsg, {4}));
  EXPECT_FALSE(Allows(SYS_recvmsg, {5}));
  EXPECT_TRUE(Allows(SYS_sendto, {9, 1, 1, MSG_NOSIGNAL, 0, 0}));
  EXPECT_TRUE(Allows(SYS_sendto, {9, 1, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0}));
  EXPECT_FALSE(Allows(SYS_sendto, {9, 1, 1, MSG_NOSIGNAL, 1, 16}));
  EXPECT_FALSE(Allows(SYS_sendto, {9, 1, 1, MSG_OOB, 0, 0}));
  EXPECT_FALSE(Allows(SYS_recvfrom, {9, 1, 1, 0, 1, 1}));
}

TEST(QueryServerPolicyTest, NoFileIsWrittenOrMapped) {
  EXPECT_TRUE(Allows(SYS_write, {3}));
  EXPECT_FALSE(Allows(SYS_write, {5}));
  EXPECT_FALSE(Allows(SYS_mmap, {0, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 7, 0}));
  EXPECT_FALSE(Allows(SYS_mmap, {0, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, 0, 0}));
  EXPECT_FALSE(Allows(SYS_mprotect, {0, 1, PROT_EXEC}));
}

}  // namespace
}  // namespace cloister
