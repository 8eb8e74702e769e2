#include "tests/sandbox/steps/oracle.h"

#include <linux/audit.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <iterator>
#include <span>

#include "tests/sandbox/steps/bpf.h"

namespace cloister {
namespace {

constexpr std::uint32_t kX32Bit = 0x40000000;
constexpr int kLastNumber = 600;
constexpr std::size_t kDifferencesMax = 5;

constexpr int kAnyArguments[] = {SYS_munmap,         SYS_brk,
                                 SYS_rseq,           SYS_set_robust_list,
                                 SYS_gettid,         SYS_sched_yield,
                                 SYS_exit,           SYS_exit_group,
                                 SYS_rt_sigprocmask, SYS_rt_sigreturn,
                                 SYS_clock_gettime,  SYS_clock_getres,
                                 SYS_gettimeofday,   SYS_clock_nanosleep,
                                 SYS_getrandom,      SYS_getpid,
                                 SYS_restart_syscall};
constexpr int kEnoent[] = {
    SYS_open,   SYS_openat,    SYS_openat2,    SYS_stat,     SYS_lstat,  SYS_newfstatat, SYS_statx,
    SYS_access, SYS_faccessat, SYS_faccessat2, SYS_readlink, SYS_statfs, SYS_readlinkat, SYS_chdir};
constexpr int kZero[] = {SYS_getuid,       SYS_geteuid,     SYS_getgid, SYS_getegid, SYS_getppid,
                         SYS_rt_sigaction, SYS_sigaltstack, SYS_alarm,  SYS_times};
constexpr int kEnosys[] = {SYS_clone3, SYS_epoll_pwait2};
constexpr int kKilled[] = {SYS_ptrace,
                           SYS_process_vm_readv,
                           SYS_process_vm_writev,
                           SYS_process_madvise,
                           SYS_kcmp,
                           SYS_pidfd_getfd,
                           SYS_keyctl,
                           SYS_add_key,
                           SYS_request_key,
                           SYS_bpf,
                           SYS_seccomp,
                           SYS_perf_event_open,
                           SYS_userfaultfd,
                           SYS_io_uring_setup,
                           SYS_io_uring_enter,
                           SYS_io_uring_register,
                           SYS_init_module,
                           SYS_finit_module,
                           SYS_delete_module,
                           SYS_kexec_load,
                           SYS_mount,
                           SYS_kexec_file_load,
                           SYS_umount2,
                           SYS_pivot_root,
                           SYS_open_tree,
                           SYS_move_mount,
                           SYS_fsopen,
                           SYS_fsconfig,
                           SYS_fsmount,
                           SYS_fspick,
                           SYS_mount_setattr,
                           SYS_chroot,
                           SYS_unshare,
                           SYS_setns,
                           SYS_open_by_handle_at,
                           SYS_name_to_handle_at,
                           SYS_modify_ldt,
                           SYS_iopl,
                           SYS_ioperm,
                           SYS_personality,
                           SYS_swapon,
                           SYS_swapoff,
                           SYS_reboot,
                           SYS_acct,
                           SYS_quotactl,
                           SYS_execve,
                           SYS_execveat,
                           SYS_memfd_create,
                           SYS_memfd_secret};
constexpr int kConditional[] = {SYS_read,  SYS_write,    SYS_mmap,    SYS_mremap,
                                SYS_clone, SYS_mprotect, SYS_madvise, SYS_futex};

bool IsIn(int number, std::span<const int> numbers) {
  return std::ranges::find(numbers, number) != numbers.end();
}

// Literal numbers where the policy has names.
bool ArgumentsAllowed(const seccomp_data& data) {
  const auto& argument = data.args;
  const auto low = [&](int index) { return static_cast<std::uint32_t>(argument[index]); };
  switch (data.nr) {
    case SYS_read:
    case SYS_write:
      return low(0) == 3 || low(0) == 4;
    case SYS_mmap: {  // prot: bits 0 and 1; flags: 0x22, and 0x10, 0x4000, 0x20000 at will
      const std::uint64_t flags = argument[3];
      return argument[2] <= 3 && (flags | 0x24010) == 0x24032 && (flags & 0x22) == 0x22;
    }
    case SYS_mremap:
      return argument[3] <= 1;
    case SYS_mprotect:
      return argument[2] <= 3;
    case SYS_madvise:
      return low(2) == 4 || low(2) == 8;
    case SYS_clone:
      return argument[0] == 0x3d0f00;
    case SYS_futex: {  // 0, 1, 9, each with 128 and 256 at will
      const std::uint32_t operation = low(1);
      const std::uint32_t rest = operation % 128;
      return operation < 512 && (rest == 0 || rest == 1 || rest == 9);
    }
    default:
      return IsIn(data.nr, kAnyArguments);
  }
}

// The values that the policy compares with, their neighbours, and each with a bit of the upper
// half; plus flags that must not slip through.
std::vector<std::uint64_t> Corpus() {
  constexpr std::uint64_t kSeeds[] = {
      0,        3,        4,          8,          9,          0x22,      0x32,      0x80,
      0x81,     0x89,     0x100,      0x180,      0x189,      0x200,     0x4022,    0x20022,
      0x24032,  0x21,     0x122,      0x2022,     0x40022,    0x100022,  0x1000003, 0x2000003,
      0x3d0f00, 0xbd0f00, 0x103d0f00, 0x7fffffff, 0x80000000, 0xffffffff};
  constexpr std::uint64_t kUpper[] = {0, 1ULL << 32, 1ULL << 63, 0xffffffff00000000};
  std::vector<std::uint64_t> values;
  for (const std::uint64_t seed : kSeeds) {
    for (const std::uint64_t near : {seed - 1, seed, seed + 1, seed + 2, seed ^ 4}) {
      for (const std::uint64_t upper : kUpper)
        values.push_back((near & 0xffffffff) | upper);
    }
  }
  std::ranges::sort(values);
  const auto repeated = std::ranges::unique(values);
  values.erase(repeated.begin(), repeated.end());
  return values;
}

std::uint32_t Named(int number) {
  if (IsIn(number, kKilled))
    return SECCOMP_RET_KILL_PROCESS;
  if (IsIn(number, kEnoent))
    return SECCOMP_RET_ERRNO | ENOENT;
  if (IsIn(number, kEnosys))
    return SECCOMP_RET_ERRNO | ENOSYS;
  if (IsIn(number, kZero))
    return SECCOMP_RET_ERRNO;
  return SECCOMP_RET_ERRNO | EPERM;
}

int WithX32Bit(int number) {
  return static_cast<int>(static_cast<std::uint32_t>(number) | kX32Bit);
}

struct Call {
  int nr = 0;
  std::uint32_t arch = 0;
};

class Comparison {
 public:
  explicit Comparison(const SeccompProgram& program) : program_(program) {}

  void Try(const seccomp_data& data) {
    if (report_.differences.size() >= kDifferencesMax)
      return;
    ++report_.cases;
    const std::uint32_t got = EvaluateBpf(program_, data);
    const std::uint32_t wanted = OracleVerdict(data);
    if (got == wanted)
      return;
    std::array<char, 256> text{};
    std::snprintf(text.data(), text.size(), "arch %x call %d (%llx %llx %llx %llx): %x, not %x",
                  data.arch, data.nr, data.args[0], data.args[1], data.args[2], data.args[3], got,
                  wanted);
    report_.differences.emplace_back(text.data());
  }

  // All arguments alike.
  void TryCall(Call call, std::span<const std::uint64_t> values) {
    seccomp_data data = DataOf(call);
    for (const std::uint64_t value : values) {
      std::ranges::fill(data.args, value);
      Try(data);
    }
  }

  // Every argument `common`, but one.
  void TryAround(Call call, std::uint64_t common, std::span<const std::uint64_t> values) {
    seccomp_data data = DataOf(call);
    std::ranges::fill(data.args, common);
    for (auto& argument : data.args) {
      for (const std::uint64_t value : values) {
        argument = value;
        Try(data);
      }
      argument = common;
    }
  }

  OracleReport Take() && { return std::move(report_); }

 private:
  static seccomp_data DataOf(Call call) {
    seccomp_data data{};
    data.nr = call.nr;
    data.arch = call.arch;
    return data;
  }

  const SeccompProgram& program_;
  OracleReport report_;
};

}  // namespace

std::uint32_t OracleVerdict(const seccomp_data& data) {
  const bool x32 = data.nr != -1 && (static_cast<std::uint32_t>(data.nr) & kX32Bit) != 0;
  if (data.arch != AUDIT_ARCH_X86_64 || x32)
    return SECCOMP_RET_KILL_PROCESS;
  return ArgumentsAllowed(data) ? std::uint32_t{SECCOMP_RET_ALLOW} : Named(data.nr);
}

OracleReport HoldAgainstOracle(const SeccompProgram& program) {
  // What the other arguments are while one of them walks the corpus.
  constexpr std::uint64_t kCommon[] = {0, 1, 3, 4, 8, 9, 0x22, 0x3d0f00};
  Comparison comparison(program);
  const std::vector<std::uint64_t> corpus = Corpus();
  for (int number = -1; number <= kLastNumber; ++number) {
    comparison.TryCall({.nr = number, .arch = AUDIT_ARCH_X86_64}, corpus);
    comparison.TryCall({.nr = WithX32Bit(number), .arch = AUDIT_ARCH_X86_64}, kCommon);
    comparison.TryCall({.nr = number, .arch = AUDIT_ARCH_I386}, kCommon);
    comparison.TryCall({.nr = number, .arch = AUDIT_ARCH_AARCH64}, kCommon);
  }
  for (const int number : kConditional) {
    for (const std::uint64_t common : kCommon)
      comparison.TryAround({.nr = number, .arch = AUDIT_ARCH_X86_64}, common, corpus);
  }
  return std::move(comparison).Take();
}

}  // namespace cloister
