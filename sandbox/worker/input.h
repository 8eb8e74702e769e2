#pragma once

// wsgi.input of one request: read, readline, readlines, readinto and iteration, up to the end of
// the body, which reads as the end of the file.

#include "sandbox/worker/python.h"
#include "sandbox/worker/request_body.h"

namespace cloister {

// Makes the Python type; once, in the zygote.
bool PrepareInput();

// An input over `body`. DetachInput must be called before `body` goes; reading raises then.
PyRef NewInput(RequestBody& body);
void DetachInput(PyObject* input);

}  // namespace cloister
