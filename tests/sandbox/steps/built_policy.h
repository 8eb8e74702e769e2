#pragma once

// A policy as it is installed, asked call by call.

#include <gtest/gtest.h>
#include <linux/audit.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <set>
#include <span>

#include "sandbox/steps/seccomp.h"
#include "tests/sandbox/steps/bpf.h"

namespace cloister {

class BuiltPolicy {
 public:
  explicit BuiltPolicy(std::span<const AllowedCall> allowed) {
    Result<SeccompProgram> built = BuildFilter(allowed, RefusedCalls());
    EXPECT_TRUE(built.ok());
    if (built.ok())
      filter_ = std::move(built).value();
  }

  bool Allows(int number, std::initializer_list<std::uint64_t> arguments = {},
              std::uint32_t arch = AUDIT_ARCH_X86_64) const {
    seccomp_data data = {};
    data.nr = number;
    data.arch = arch;
    std::size_t index = 0;
    for (const std::uint64_t argument : arguments)
      data.args[index++] = argument;
    return EvaluateBpf(filter_, data) == SECCOMP_RET_ALLOW;
  }

  // Whatever the arguments of other calls, and whatever the call of another ABI.
  void ExpectNoneBut(const std::set<int>& allowed) const {
    for (int number = -1; number <= 600; ++number) {
      EXPECT_FALSE(Allows(number, {}, AUDIT_ARCH_I386)) << number;
      if (number >= 0) {
        EXPECT_FALSE(Allows(number | 0x40000000)) << number;
      }
      if (allowed.contains(number))
        continue;
      for (const std::uint64_t value : {0ULL, 3ULL, 4ULL, ~0ULL})
        EXPECT_FALSE(Allows(number, {value, value, value, value, value, value})) << number;
    }
  }

 private:
  SeccompProgram filter_;
};

}  // namespace cloister
