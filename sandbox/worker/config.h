#pragma once

// The app's config inside its worker: what `_cloister.config()` gives.

#include "sandbox/worker/runtime.h"

namespace cloister {

// Waits for the config that the node sends first, and keeps it. False with an exception; also when
// the node wants no worker any more.
bool TakeFirstConfig(Runtime& runtime);
// Keeps a newer config, if one came, and tells the app's side of it (os.environ, callbacks). False
// with an exception: a callback ran out of the request's time.
bool TakeNewConfig(Runtime& runtime);

// A tuple of a dict of names to values and a frozenset of the names of secrets.
PyRef ConfigTuple(const Runtime& runtime);

}  // namespace cloister
