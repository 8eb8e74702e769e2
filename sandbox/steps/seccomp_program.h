#pragma once

// A finished seccomp filter, and step seccomp, which installs it.
//
// Built once in the zygote (seccomp.h) and inherited by its children; installing is one system
// call and allocates nothing.

#include <linux/filter.h>

#include <vector>

#include "apis/base/result.h"

namespace cloister {

struct SeccompProgram {
  std::vector<sock_filter> instructions;
};

// The calling thread, and all it makes, obeys `program` from now on. Needs no_new_privileges.
Result<void> InstallSeccomp(const SeccompProgram& program);

}  // namespace cloister
