#pragma once

// Makes the filter of seccomp_policy.def. The only pair that knows libseccomp.

#include <span>

#include "apis/base/result.h"
#include "sandbox/steps/seccomp_policy.h"
#include "sandbox/steps/seccomp_program.h"

namespace cloister {

// For the zygote, once, at its start: takes about a millisecond and allocates.
Result<SeccompProgram> BuildPolicy();

// The same for any policy of that form; the tests of the oracle give it broken ones.
Result<SeccompProgram> BuildFilter(std::span<const AllowedCall> allowed,
                                   std::span<const RefusedCall> refused);

}  // namespace cloister
