#pragma once

// seccomp_policy.def for people: the text of `cloisterd --print-policy`.

#include <string>

namespace cloister {

// A line `allow NAME CONDITION  # reason` for each allowed call ("always" where there is no
// condition), then a line for each class of refusal.
std::string RenderPolicy();

}  // namespace cloister
