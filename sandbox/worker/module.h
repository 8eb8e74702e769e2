#pragma once

// _cloister: what the Python part of the runtime asks of this process. Built in, never on a path.

#include "sandbox/worker/python.h"

namespace cloister {

// Registers the module; before the interpreter starts.
void RegisterCloisterModule();

}  // namespace cloister
