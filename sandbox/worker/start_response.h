#pragma once

// The start_response callable of one request (PEP 3333), and the write callable that it returns.
//
// What the app gives is checked here, where an exception still points at the app's own line: types,
// status line, header names and values, Content-Length, hop-by-hop headers.

#include "sandbox/worker/python.h"
#include "sandbox/worker/response.h"

namespace cloister {

// Makes the Python type; once, in the zygote.
bool PrepareStartResponse();

// A callable bound to `response`. DetachStartResponse must be called before `response` goes: an app
// may keep the callable for as long as it likes.
PyRef NewStartResponse(ResponseWriter& response);
void DetachStartResponse(PyObject* start_response);

}  // namespace cloister
