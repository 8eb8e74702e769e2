#pragma once

// Runs a seccomp filter in user space, without a kernel.

#include <linux/seccomp.h>

#include <cstdint>

#include "sandbox/steps/seccomp_program.h"

namespace cloister {

// The filter's verdict on `data`. CHECKs on an instruction that a seccomp filter of libseccomp
// does not have, and when the program runs off its end.
std::uint32_t EvaluateBpf(const SeccompProgram& program, const seccomp_data& data);

}  // namespace cloister
