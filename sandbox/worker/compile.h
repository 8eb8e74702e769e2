#pragma once

// The compile job: bytecode of every module of an image, without importing any.

#include "sandbox/worker/runtime.h"

namespace cloister {

// Sends kCode for each .py, then kReady; or kBootFailed. The exit status of the process.
int RunCompileJob(Runtime& runtime);

// Sends a kBootFailed with a report from Python: a tuple (code, message, file, line, traceback),
// each text as bytes.
void SendBootFailed(Runtime& runtime, PyObject* report);

// Sends kReady.
void SendReady(Runtime& runtime, std::uint64_t boot_us);

}  // namespace cloister
