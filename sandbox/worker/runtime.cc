#include "sandbox/worker/runtime.h"

#include <algorithm>
#include <cstdlib>

#include "sandbox/worker/worker.h"

namespace cloister {
namespace {

// The node's clock of a request starts before ours.
constexpr Millis kClockTolerance{20};

}  // namespace

Runtime& TheRuntime() {
  // Never destroyed: threads of the app may still run while the process exits.
  static Runtime& runtime =
      *new Runtime(kChannelFd, kQueryFd);  // NOLINT(cppcoreguidelines-owning-memory)
  return runtime;
}

void SetDefaultEnvironment() {
  ::clearenv();
  ::setenv("TZ", "UTC0", 1);
  ::setenv("LANG", "C.UTF-8", 1);
  ::setenv("HOME", "/app", 1);
  ::setenv("USER", "app", 1);
  ::setenv("LOGNAME", "app", 1);
  ::setenv("TMPDIR", "/tmp", 1);
}

void Runtime::BeginRequest(std::uint32_t id, Millis wall_max) {
  SetCurrentRequest(id);
  wall_max_ = wall_max;
  began_ = std::chrono::steady_clock::now();
  in_request_ = true;
}

void Runtime::EndRequest() {
  in_request_ = false;
  SetCurrentRequest(0);
}

bool Runtime::IsOverWallTime() const {
  if (!in_request_)
    return false;
  const auto used = std::chrono::steady_clock::now() - began_;
  return used + std::max(kClockTolerance, wall_max_ / 10) >= wall_max_;
}

void Runtime::LogException() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (value != nullptr && traceback != nullptr)
    PyException_SetTraceback(value, traceback);
  const PyRef owned_type = PyRef::Steal(type);
  const PyRef owned_value = PyRef::Steal(value);
  const PyRef owned_traceback = PyRef::Steal(traceback);
  PyRef text;
  if (owned_value && format_exception)
    text = PyRef::Steal(PyObject_CallOneArg(format_exception.get(), owned_value.get()));
  std::string_view bytes = "an exception that could not be formatted";
  if (text && PyBytes_Check(text.get()))
    bytes = ViewOfBytes(text.get());
  PyErr_Clear();
  output.Flush(channel);
  SendLog(
      channel,
      {.source = LogSource::kRuntime, .level = kLevelError, .logger = "cloister", .bytes = bytes});
}

}  // namespace cloister
