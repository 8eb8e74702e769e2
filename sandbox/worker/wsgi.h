#pragma once

// One request through a WSGI application (PEP 3333), from the frame to the end of the response.

#include "sandbox/worker/python.h"
#include "sandbox/worker/runtime.h"

namespace cloister {

// Makes the Python types that requests need; once, in the zygote.
bool PrepareWsgi();

// Claims, runs and answers the oldest request of the channel: by `app`, or by the runtime's own
// functions when it is for those. Nothing is left pending: neither bytes of the response nor a
// Python exception. A request that the node withdrew is forgotten.
void ServeRequest(Runtime& runtime, PyObject* app, QueuedRequest& request);

}  // namespace cloister
