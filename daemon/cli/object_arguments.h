#pragma once

// The arguments of `cloister objects`.

#include "daemon/cli/local_arguments.h"
#include "daemon/cli/objects.h"

namespace cloister {

// `wish` and `verb` must outlive the parsing.
void AddObjects(CLI::App& root, ObjectWish& wish, Verb& verb);

}  // namespace cloister
