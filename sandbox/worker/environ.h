#pragma once

// The WSGI environ of a request (PEP 3333). Keys are made once and shared by all requests.

#include "apis/wire/channel.h"
#include "sandbox/worker/python.h"

namespace cloister {

// Makes the constant entries and the keys of usual headers; once, in the zygote.
bool PrepareEnviron();

// Adds what PrepareEnviron cannot know yet; once, in the worker.
bool SetEnvironStreams(PyObject* errors, PyObject* file_wrapper);

// A new dict; `input` becomes wsgi.input.
PyRef MakeEnviron(const RequestHead& head, PyObject* input);

}  // namespace cloister
