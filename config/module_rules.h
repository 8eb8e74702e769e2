#pragma once

// The operator's lists of platform modules ([modules] in the settings), as workers take them.
//
// An entry is the dotted name of a module and stands for its submodules too; of those that fit a
// module the longest decides; an allowed module's packages come with it. "*" fits every module
// whose name does not begin with '_'. What the interpreter and the worker's runtime are made of
// cannot be denied. No wall: what a worker can do is what its confinement leaves it
// (docs/threats.md).

#include <string>

#include "apis/base/result.h"
#include "config/settings.h"

namespace cloister {

// kInvalidArgument: an entry that is no module's name, that is in both lists, that is needed, or an
// exception without anything to except from.
Result<void> ValidateModules(const ModuleSettings& modules);

// A '-' (denied) or a '+' (allowed) before each name, each ended by a NUL; "" when nothing is
// denied.
std::string RenderModuleRules(const ModuleSettings& modules);

}  // namespace cloister
