#pragma once

// _cloister.bind(method): one call of apis/calls.def as a Python callable.
//
// It takes the arguments of its row in order: integers; bytes, a str (as UTF-8) or any buffer; None
// for what is optional; a list or tuple for lists. It waits for the answer while other threads run,
// and returns what the row promises: one value, or a tuple when there are more. A value that does
// not fit its type is a TypeError, OverflowError or ValueError, and nothing was sent. A quota is
// cloister.QuotaExceeded, a failure cloister.ApiError.

#include "sandbox/worker/python.h"

namespace cloister {

// In the zygote. False with an exception.
bool PrepareCall();

// The function of the module: METH_O.
PyObject* BindCall(PyObject* module, PyObject* method);

}  // namespace cloister
