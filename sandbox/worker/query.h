#pragma once

// _cloister.query: one statement from Python to the app's query process and back.
//
//   query(session, begin, flags, many, last_row_id, sql, parameters) ->
//     (in_transaction, flags, changed, row_id, columns, rows)
//
// `parameters`: a sequence of values, a mapping of values by name, or with `many` a list of such;
// values are None, int, float, str or bytes-like. `changed` is -1 and `row_id` None where there is
// none; columns are (name, declared type or None); rows are tuples. Errors raise
// cloister.query.Failure(status, ...): what cloister.db makes an exception of.

#include "sandbox/worker/python.h"

namespace cloister {

PyObject* RunQuery(PyObject* module, PyObject* const* args, Py_ssize_t count);
// query_epoch(): how many query processes were lost so far.
PyObject* QueryEpoch(PyObject* module, PyObject* unused);

}  // namespace cloister
