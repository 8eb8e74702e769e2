#include "sandbox/worker/compile.h"

#include <chrono>
#include <string>

#include "apis/wire/channel.h"
#include "apis/wire/codec.h"
#include "apis/wire/frame.h"

namespace cloister {
namespace {

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;

// Each part of a report keeps the frame within its bounds, whatever the app raised.
constexpr std::size_t kMessageMax = 4096;
constexpr std::size_t kFileMax = 1024;
constexpr std::size_t kTracebackMax = 48 * 1024;

std::string_view ReportText(PyObject* report, Py_ssize_t index, std::size_t max) {
  PyObject* item = PyTuple_GET_ITEM(report, index);
  return PyBytes_Check(item) ? ViewOfBytes(item).substr(0, max) : std::string_view{};
}

void SendReport(Runtime& runtime, const BootReport& report) {
  runtime.FlushEvents();
  std::string frame;
  const std::size_t begin = BeginFrame(frame, FrameType::kBootFailed, 0, 0);
  WireWriter writer(frame);
  report.Encode(writer);
  FinishFrame(frame, begin);
  runtime.channel.Send(frame);
}

}  // namespace

void SendBootFailed(Runtime& runtime, PyObject* report) {
  const bool is_report =
      report != nullptr && PyTuple_Check(report) && PyTuple_GET_SIZE(report) == 5;
  if (!is_report) {
    // Making the report failed too.
    const bool no_memory = PyErr_ExceptionMatches(PyExc_MemoryError) != 0;
    runtime.LogException();
    SendReport(runtime,
               {.code = no_memory ? "memory_exceeded" : "app_raised",
                .message = no_memory ? "the worker's memory (limits.memory) was used up while it "
                                       "began"
                                     : "the app failed, and so did the report about it",
                .file = {},
                .line = 0,
                .traceback = {}});
    return;
  }
  const long line = PyLong_AsLong(PyTuple_GET_ITEM(report, 3));
  PyErr_Clear();
  SendReport(runtime, {.code = ReportText(report, 0, kFileMax),
                       .message = ReportText(report, 1, kMessageMax),
                       .file = ReportText(report, 2, kFileMax),
                       .line = line < 0 ? 0 : static_cast<std::uint32_t>(line),
                       .traceback = ReportText(report, 4, kTracebackMax)});
}

void SendReady(Runtime& runtime, std::uint64_t boot_us) {
  runtime.FlushEvents();
  std::string frame;
  const std::size_t begin = BeginFrame(frame, FrameType::kReady, 0, 0);
  WireWriter(frame).U64(boot_us);
  FinishFrame(frame, begin);
  runtime.channel.Send(frame);
}

int RunCompileJob(Runtime& runtime) {
  const auto began = std::chrono::steady_clock::now();
  const PyRef module = PyRef::Steal(PyImport_ImportModule("_cloister_runtime.compile"));
  const PyRef report =
      PyRef::Steal(module ? PyObject_CallMethod(module.get(), "compile_all", nullptr) : nullptr);
  if (report.get() != Py_None) {
    SendBootFailed(runtime, report.get());
    return kExitFailed;
  }
  const auto used = std::chrono::steady_clock::now() - began;
  SendReady(runtime, static_cast<std::uint64_t>(
                         std::chrono::duration_cast<std::chrono::microseconds>(used).count()));
  return kExitDone;
}

}  // namespace cloister
