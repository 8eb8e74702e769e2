#pragma once

// What the policy ought to say, written by hand a second time: shares no data and no code with
// seccomp_policy.def, so that a slip in either shows.

#include <linux/seccomp.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/steps/seccomp_program.h"

namespace cloister {

// The verdict that seccomp must give.
std::uint32_t OracleVerdict(const seccomp_data& data);

struct OracleReport {
  long cases = 0;
  std::vector<std::string> differences;  // the first few; then the comparison ends
};

// Holds `program` against the oracle: every call number from -1 to 600, in the x86-64, x32, i386
// and arm64 numbering, over a corpus of arguments made of the policy's own values and their
// neighbours, in the lower and in the upper half.
OracleReport HoldAgainstOracle(const SeccompProgram& program);

}  // namespace cloister
