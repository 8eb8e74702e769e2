#include "sandbox/worker/module.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "apis/wire/codec.h"
#include "apis/wire/frame.h"
#include "sandbox/worker/call.h"
#include "sandbox/worker/config.h"
#include "sandbox/worker/image_view.h"
#include "sandbox/worker/query.h"
#include "sandbox/worker/runtime.h"

namespace cloister {
namespace {

// The view of an image, or None where there is none yet.
PyObject* ViewOrNone(const std::optional<Image>& image) {
  if (!image)
    Py_RETURN_NONE;
  return NewImageView(*image).Release();
}

PyObject* PlatformImage(PyObject*, PyObject*) {
  return ViewOrNone(TheRuntime().platform);
}

PyObject* AppImage(PyObject*, PyObject*) {
  return ViewOrNone(TheRuntime().app);
}

// write_output(source, data): bytes of stdout (0) or stderr (1).
PyObject* WriteOutput(PyObject*, PyObject* args) {
  int source = 0;
  Py_buffer data;
  if (!PyArg_ParseTuple(args, "iy*", &source, &data))
    return nullptr;
  Runtime& runtime = TheRuntime();
  runtime.output.Write(runtime.channel, source == 0 ? LogSource::kStdout : LogSource::kStderr,
                       {static_cast<const char*>(data.buf), static_cast<std::size_t>(data.len)});
  const Py_ssize_t size = data.len;
  PyBuffer_Release(&data);
  return PyLong_FromSsize_t(size);
}

// log(source, level, logger, data, fields=b''): one event.
PyObject* LogEventFromPython(PyObject*, PyObject* args) {
  int source = 0;
  int level = 0;
  const char* logger = nullptr;
  Py_ssize_t logger_size = 0;
  Py_buffer data;
  const char* fields = "";
  Py_ssize_t fields_size = 0;
  if (!PyArg_ParseTuple(args, "iis#y*|y#", &source, &level, &logger, &logger_size, &data, &fields,
                        &fields_size))
    return nullptr;
  Runtime& runtime = TheRuntime();
  const bool is_logging = source == static_cast<int>(LogSource::kLogging);
  SendLog(runtime.channel,
          {.source = is_logging ? LogSource::kLogging : LogSource::kRuntime,
           .level = static_cast<std::uint8_t>(std::clamp(level, 0, 255)),
           .logger = {logger, static_cast<std::size_t>(logger_size)},
           .bytes = {static_cast<const char*>(data.buf), static_cast<std::size_t>(data.len)},
           .fields = {fields, static_cast<std::size_t>(fields_size)}});
  PyBuffer_Release(&data);
  Py_RETURN_NONE;
}

// config(): see ConfigTuple.
PyObject* Config(PyObject*, PyObject*) {
  return ConfigTuple(TheRuntime()).Release();
}

PyObject* CountRefused(PyObject*, PyObject* name) {
  const std::string_view text = ViewOfText(name);
  if (PyErr_Occurred())
    return nullptr;
  TheRuntime().refused.Count(text);
  Py_RETURN_NONE;
}

// on_interrupt(signal, frame): the handler of SIGXCPU. In C, so that no frame of ours stands in
// the app's traceback. A signal that comes too late for its request is ignored; one during the
// import of the app says where that hangs.
PyObject* OnInterrupt(PyObject*, PyObject*) {
  const Runtime& runtime = TheRuntime();
  if (!runtime.booting && !runtime.IsOverWallTime())
    Py_RETURN_NONE;
  const std::string message =
      runtime.booting
          ? "the import of the app took too long"
          : "the request ran longer than its " + std::to_string(runtime.wall_max().count()) + " ms";
  PyErr_SetString(runtime.wall_time_exceeded.get(), message.c_str());
  return nullptr;
}

// send_code(path, code): a compiled module.
PyObject* SendCode(PyObject*, PyObject* args) {
  const char* path = nullptr;
  Py_ssize_t path_size = 0;
  Py_buffer code;
  if (!PyArg_ParseTuple(args, "s#y*", &path, &path_size, &code))
    return nullptr;
  const std::string_view name(path, static_cast<std::size_t>(path_size));
  std::string_view rest(static_cast<const char*>(code.buf), static_cast<std::size_t>(code.len));
  const std::size_t piece_max = kFramePayloadMax - sizeof(std::uint16_t) - name.size();
  // Frame by frame: the compile job has no other thread that could send between them.
  do {
    const std::string_view piece = rest.substr(0, piece_max);
    rest.remove_prefix(piece.size());
    const std::uint8_t flags = rest.empty() ? std::uint8_t{0} : kFrameMore;
    std::string frame;
    const std::size_t begin = BeginFrame(frame, FrameType::kCode, flags, 0);
    WireWriter writer(frame);
    writer.Str16(name);
    writer.Raw(piece);
    FinishFrame(frame, begin);
    TheRuntime().channel.Send(frame);
  } while (!rest.empty());
  PyBuffer_Release(&code);
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"platform_image", PlatformImage, METH_NOARGS, nullptr},
    {"app_image", AppImage, METH_NOARGS, nullptr},
    {"write_output", WriteOutput, METH_VARARGS, nullptr},
    {"log", LogEventFromPython, METH_VARARGS, nullptr},
    {"config", Config, METH_NOARGS, nullptr},
    {"count_refused", CountRefused, METH_O, nullptr},
    {"on_interrupt", OnInterrupt, METH_VARARGS, nullptr},
    {"bind", BindCall, METH_O, nullptr},
    {"query", reinterpret_cast<PyCFunction>(AsSlot(RunQuery)), METH_FASTCALL, nullptr},
    {"query_epoch", QueryEpoch, METH_NOARGS, nullptr},
    {"send_code", SendCode, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_cloister", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

PyObject* Initialize() {
  PyRef module = PyRef::Steal(PyModule_Create(&definition));
  if (!module || !PrepareImageView() || !PrepareCall() ||
      PyModule_AddStringConstant(module.get(), "VERSION", CLOISTER_VERSION) != 0)
    return nullptr;
  return module.Release();
}

}  // namespace

void RegisterCloisterModule() {
  PyImport_AppendInittab("_cloister", Initialize);
}

}  // namespace cloister
