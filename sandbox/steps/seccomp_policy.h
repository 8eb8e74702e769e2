#pragma once

// seccomp_policy.def as C++ data, in the order of the file.

#include <cstdint>
#include <span>

namespace cloister {

// How a call that is not allowed is answered.
enum class Refusal {
  kNoSuchFile,    // ENOENT
  kFakeSuccess,   // 0
  kNoSuchCall,    // ENOSYS
  kKill,          // the process ends by SIGSYS
  kNotPermitted,  // EPERM: everything that the policy does not name
};

// (argument & mask) == value, over 64 bits. Unused when the mask is 0.
struct ArgumentTest {
  unsigned index = 0;
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
  const char* text = "";  // for people, spelled from the same tokens of the policy

  constexpr bool used() const { return mask != 0; }
};

inline constexpr std::size_t kTestsMax = 2;
inline constexpr std::size_t kCasesMax = 3;

// All its tests must hold. Unused when it has none.
struct AllowedCase {
  ArgumentTest tests[kTestsMax];

  constexpr bool used() const { return tests[0].used(); }
};

struct AllowedCall {
  int number = -1;
  const char* name = "";
  const char* reason = "";
  AllowedCase cases[kCasesMax];  // any one suffices; none used: allowed whatever the arguments

  constexpr bool unconditional() const { return !cases[0].used(); }
};

struct RefusedCall {
  const char* name = "";
  int number = -1;
  Refusal how = Refusal::kNotPermitted;
};

std::span<const AllowedCall> AllowedCalls();
// Of cloister-query: query_policy.def.
std::span<const AllowedCall> QueryAllowedCalls();
// Of one whose database is on a server: query_server_policy.def.
std::span<const AllowedCall> QueryServerAllowedCalls();
// Of all.
std::span<const RefusedCall> RefusedCalls();

}  // namespace cloister
