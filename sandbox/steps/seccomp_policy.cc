#include "sandbox/steps/seccomp_policy.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef __x86_64__
#error "The policy was written and tested for x86-64 only."
#endif

namespace cloister {
namespace {

constexpr std::uint64_t kLow32 = 0xffffffff;

// Stringified before expansion, so the text shows the names that the policy uses.
#define INT_IS(index, name, value)            \
  ArgumentTest {                              \
    index, kLow32, value, #name " == " #value \
  }
#define INT_IS_BESIDES(index, name, value, ignored)            \
  ArgumentTest{index, kLow32 & ~std::uint64_t{ignored}, value, \
               #name " == " #value " (" #ignored " may be set as well)"}
#define IS(index, name, value)                           \
  ArgumentTest {                                         \
    index, ~std::uint64_t{0}, value, #name " == " #value \
  }
#define IS_BESIDES(index, name, value, ignored)       \
  ArgumentTest{index, ~std::uint64_t{ignored}, value, \
               #name " == " #value " (" #ignored " may be set as well)"}
#define WITHIN(index, name, bits)                          \
  ArgumentTest {                                           \
    index, ~std::uint64_t{bits}, 0, #name " within " #bits \
  }

constexpr AllowedCall kAllowed[] = {
#define ALLOW(call, reason) \
  AllowedCall {             \
    SYS_##call, #call, reason, {
#define CASE(...) AllowedCase{{__VA_ARGS__}},
#define END_ALLOW \
  }               \
  }               \
  ,
#define REFUSE(how, call)
#include "sandbox/steps/seccomp_policy.def"
#undef REFUSE
};

constexpr AllowedCall kQueryAllowed[] = {
#include "sandbox/steps/query_policy.def"
};

constexpr AllowedCall kQueryServerAllowed[] = {
#include "sandbox/steps/query_server_policy.def"
#undef ALLOW
#undef CASE
#undef END_ALLOW
};

constexpr RefusedCall kRefused[] = {
#define ALLOW(call, reason)
#define CASE(...)
#define END_ALLOW
#define REFUSE(how, call) RefusedCall{#call, SYS_##call, Refusal::how},
#include "sandbox/steps/seccomp_policy.def"
#undef ALLOW
#undef CASE
#undef END_ALLOW
#undef REFUSE
};

static_assert(std::size(kAllowed) == 25, "a call more is a decision: see design and tests");
static_assert(std::size(kQueryAllowed) == 30, "a call more is a decision: see design and tests");
static_assert(std::size(kQueryServerAllowed) == 18,
              "a call more is a decision: see design and tests");

}  // namespace

std::span<const AllowedCall> AllowedCalls() {
  return kAllowed;
}

std::span<const AllowedCall> QueryAllowedCalls() {
  return kQueryAllowed;
}

std::span<const AllowedCall> QueryServerAllowedCalls() {
  return kQueryServerAllowed;
}

std::span<const RefusedCall> RefusedCalls() {
  return kRefused;
}

}  // namespace cloister
