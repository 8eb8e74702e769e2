#include "sandbox/steps/seccomp.h"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

struct ReleaseContext {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, ReleaseContext>;

// libseccomp's attribute for a binary tree over the call numbers: fewer comparisons a call.
constexpr std::uint32_t kBinaryTree = 2;

std::uint32_t ActionOf(Refusal how) {
  switch (how) {
    case Refusal::kNoSuchFile:
      return SCMP_ACT_ERRNO(ENOENT);
    case Refusal::kFakeSuccess:
      return SCMP_ACT_ERRNO(0);
    case Refusal::kNoSuchCall:
      return SCMP_ACT_ERRNO(ENOSYS);
    case Refusal::kKill:
      return SCMP_ACT_KILL_PROCESS;
    case Refusal::kNotPermitted:
      return SCMP_ACT_ERRNO(EPERM);
  }
  return SCMP_ACT_KILL_PROCESS;
}

// libseccomp returns negative errno values.
Result<void> Checked(int returned, const std::string& doing) {
  if (returned < 0)
    return SystemError(doing, -returned);
  return {};
}

Result<Context> NewContext() {
  Context context(::seccomp_init(ActionOf(Refusal::kNotPermitted)));
  if (context == nullptr)
    return Error{ErrorCode::kSystem, "seccomp_init failed"};
  // i386 and x32 calls.
  TRY(Checked(::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
              "SCMP_FLTATR_ACT_BADARCH"));
  TRY(Checked(::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, kBinaryTree),
              "SCMP_FLTATR_CTL_OPTIMIZE"));
  return context;
}

Result<void> AllowCase(void* context, const AllowedCall& call, const AllowedCase& one_case) {
  scmp_arg_cmp comparisons[kTestsMax] = {};
  unsigned count = 0;
  for (const ArgumentTest& test : one_case.tests) {
    if (!test.used())
      continue;
    const bool whole = test.mask == ~std::uint64_t{0};
    scmp_arg_cmp& comparison = comparisons[count++];
    comparison.arg = test.index;
    comparison.op = whole ? SCMP_CMP_EQ : SCMP_CMP_MASKED_EQ;
    comparison.datum_a = whole ? test.value : test.mask;
    comparison.datum_b = whole ? 0 : test.value;
  }
  return Checked(::seccomp_rule_add_array(context, SCMP_ACT_ALLOW, call.number, count, comparisons),
                 call.name);
}

Result<void> Allow(void* context, const AllowedCall& call) {
  if (call.unconditional())
    return AllowCase(context, call, {});
  for (const AllowedCase& one_case : call.cases) {
    if (one_case.used())
      TRY(AllowCase(context, call, one_case));
  }
  return {};
}

Result<SeccompProgram> Export(void* context) {
  const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file.valid())
    return SystemError("memfd_create");
  TRY(Checked(::seccomp_export_bpf(context, file.get()), "seccomp_export_bpf"));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0)
    return SystemError("fstat");
  const auto size = static_cast<std::size_t>(status.st_size);
  SeccompProgram program;
  program.instructions.resize(size / sizeof(sock_filter));
  if (::pread(file.get(), program.instructions.data(), size, 0) != status.st_size)
    return SystemError("reading the filter back");
  return program;
}

}  // namespace

Result<SeccompProgram> BuildFilter(std::span<const AllowedCall> allowed,
                                   std::span<const RefusedCall> refused) {
  const Context context = TRY(NewContext());
  for (const AllowedCall& call : allowed)
    TRY(Allow(context.get(), call));
  for (const RefusedCall& call : refused)
    TRY(Checked(
        ::seccomp_rule_add_array(context.get(), ActionOf(call.how), call.number, 0, nullptr),
        call.name));
  return Export(context.get());
}

Result<SeccompProgram> BuildPolicy() {
  auto program = BuildFilter(AllowedCalls(), RefusedCalls());
  if (!program.ok())
    return std::move(program).error().In("building the seccomp filter");
  return program;
}

}  // namespace cloister
