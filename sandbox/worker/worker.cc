#include "sandbox/worker/worker.h"

#include <unistd.h>

#include <chrono>
#include <iterator>
#include <string>
#include <utility>

#include "sandbox/worker/compile.h"
#include "sandbox/worker/config.h"
#include "sandbox/worker/python.h"
#include "sandbox/worker/runtime.h"
#include "sandbox/worker/wsgi.h"

namespace cloister {
namespace {

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
// Of its memory a worker may fill this part with temporary files.
constexpr std::uint64_t kScratchPart = 4;

// Gives the interpreter its app: environment, paths, label, rules. False with an exception.
bool Begin(const Runtime& runtime, const WorkerContext& context) {
  const std::size_t slash = context.app.find('/');
  const std::string name = slash == std::string::npos ? context.app : context.app.substr(slash + 1);
  const PyRef label = Utf8Text(name + "@" + context.version);
  const PyRef environment = BytesOf(context.environment);
  const PyRef scratch_max =
      PyRef::Steal(PyLong_FromUnsignedLongLong(context.memory_max.count / kScratchPart));
  const PyRef module_rules = Utf8Text(context.module_rules);
  if (!label || !environment || !scratch_max || !module_rules)
    return false;
  PyObject* args[] = {label.get(), environment.get(), scratch_max.get(), module_rules.get()};
  return static_cast<bool>(
      PyRef::Steal(PyObject_Vectorcall(runtime.begin.get(), args, std::size(args), nullptr)));
}

// Imports the entry point. Empty when it cannot be: the report has been sent.
PyRef ImportEntry(Runtime& runtime, const std::string& entry) {
  const PyRef name = Utf8Text(entry);
  runtime.booting = true;
  const PyRef result =
      PyRef::Steal(name ? PyObject_CallOneArg(runtime.load_entry.get(), name.get()) : nullptr);
  runtime.booting = false;
  if (!result || !PyTuple_Check(result.get()) || PyTuple_GET_SIZE(result.get()) != 2) {
    SendBootFailed(runtime, nullptr);
    return {};
  }
  PyObject* report = PyTuple_GET_ITEM(result.get(), 1);
  if (report != Py_None) {
    SendBootFailed(runtime, report);
    return {};
  }
  return PyRef::Share(PyTuple_GET_ITEM(result.get(), 0));
}

// What the app registered for its end runs; then unfinished output leaves.
void RunAtExit(Runtime& runtime) {
  const PyRef module = PyRef::Steal(PyImport_ImportModule("_cloister_runtime.boot"));
  if (!module || !PyRef::Steal(PyObject_CallMethod(module.get(), "end", nullptr)))
    runtime.LogException();
  runtime.FlushEvents();
}

int Serve(Runtime& runtime, const WorkerContext& context) {
  if (!TakeFirstConfig(runtime)) {
    if (PyErr_Occurred() == nullptr)
      return kExitDone;
    SendBootFailed(runtime, nullptr);
    return kExitFailed;
  }
  const auto began = std::chrono::steady_clock::now();
  if (!Begin(runtime, context)) {
    SendBootFailed(runtime, nullptr);
    return kExitFailed;
  }
  const PyRef app = ImportEntry(runtime, context.entry);
  if (!app)
    return kExitFailed;
  const auto used = std::chrono::steady_clock::now() - began;
  SendReady(runtime, static_cast<std::uint64_t>(
                         std::chrono::duration_cast<std::chrono::microseconds>(used).count()));
  while (QueuedRequest* request = runtime.channel.NextRequest())
    ServeRequest(runtime, app.get(), *request);
  RunAtExit(runtime);
  return kExitDone;
}

}  // namespace

void RehearseBoot() {
  // What fails here fails in the boot as well, which can say so.
  if (!PyRef::Steal(PyObject_CallNoArgs(TheRuntime().rehearse.get())))
    PyErr_Clear();
}

void RunWorker(WorkerContext context) {
  Runtime& runtime = TheRuntime();
  runtime.app.emplace(std::move(context.image));
  runtime.inbox = context.inbox;
  runtime.output.Clear();
  SetDefaultEnvironment();
  const int status =
      context.job == WorkerJob::kCompile ? RunCompileJob(runtime) : Serve(runtime, context);
  // Not through the interpreter's finalization: it waits for the app's threads.
  ::_exit(status);
}

}  // namespace cloister
