#include "sandbox/worker/input.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "apis/wire/channel.h"

namespace cloister {
namespace {

struct Input {
  PyObject_HEAD RequestBody* body;  // null when the request is over
};

PyTypeObject* input_type = nullptr;

// "All of it", as a limit.
constexpr std::size_t kNoLimit = ~std::size_t{0};

RequestBody* BodyOf(PyObject* self) {
  RequestBody* body = reinterpret_cast<Input*>(self)->body;
  if (body == nullptr)
    PyErr_SetString(PyExc_ValueError, "wsgi.input was read after the request was over");
  return body;
}

// The optional first argument of a read call; None and negative numbers mean no limit.
std::optional<std::size_t> ParseLimit(PyObject* const* args, Py_ssize_t count, const char* name) {
  if (count > 1) {
    PyErr_Format(PyExc_TypeError, "%s() takes at most one argument", name);
    return std::nullopt;
  }
  if (count == 0 || args[0] == Py_None)
    return kNoLimit;
  const Py_ssize_t limit = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
  if (limit == -1 && PyErr_Occurred())
    return std::nullopt;
  return limit < 0 ? kNoLimit : static_cast<std::size_t>(limit);
}

// Collects what is read in one bytes object: no second copy, and no memory left is MemoryError.
class BytesBuilder {
 public:
  explicit BytesBuilder(std::size_t expected) : expected_(expected) {}

  bool Append(std::string_view piece) {
    if (size_ + piece.size() > capacity_ && !Grow(size_ + piece.size()))
      return false;
    std::memcpy(PyBytes_AS_STRING(bytes_) + size_, piece.data(), piece.size());
    size_ += piece.size();
    return true;
  }
  PyRef Finish() {
    if (bytes_ == nullptr)
      return BytesOf({});
    if (size_ < capacity_ && _PyBytes_Resize(&bytes_, static_cast<Py_ssize_t>(size_)) != 0)
      return {};
    return PyRef::Steal(std::exchange(bytes_, nullptr));
  }
  BytesBuilder(const BytesBuilder&) = delete;
  BytesBuilder& operator=(const BytesBuilder&) = delete;
  ~BytesBuilder() { Py_XDECREF(bytes_); }

 private:
  bool Grow(std::size_t least) {
    capacity_ = std::max({least, expected_, 2 * capacity_});
    if (bytes_ != nullptr)
      return _PyBytes_Resize(&bytes_, static_cast<Py_ssize_t>(capacity_)) == 0;
    bytes_ = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(capacity_));
    return bytes_ != nullptr;
  }

  std::size_t expected_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  PyObject* bytes_ = nullptr;
};

PyRef ReadBytes(RequestBody& body, std::size_t limit) {
  const bool is_open_ended = body.remaining() == kUnknownLength;
  BytesBuilder bytes(is_open_ended ? 0 : std::min<std::size_t>(limit, body.remaining()));
  while (limit > 0) {
    if (!body.Fill())
      return {};
    const std::string_view here = body.Available().substr(0, limit);
    if (here.empty())
      break;
    if (!bytes.Append(here))
      return {};
    limit -= here.size();
    body.Consume(here.size());
  }
  return bytes.Finish();
}

PyRef ReadLine(RequestBody& body, std::size_t limit) {
  BytesBuilder line(0);
  while (limit > 0) {
    if (!body.Fill())
      return {};
    const std::string_view here = body.Available().substr(0, limit);
    if (here.empty())
      break;
    const std::size_t newline = here.find('\n');
    const bool is_whole = newline != std::string_view::npos;
    const std::size_t count = is_whole ? newline + 1 : here.size();
    if (!line.Append(here.substr(0, count)))
      return {};
    limit -= count;
    body.Consume(count);
    if (is_whole)
      break;
  }
  return line.Finish();
}

PyObject* Read(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  const std::optional<std::size_t> limit = ParseLimit(args, count, "read");
  RequestBody* body = limit ? BodyOf(self) : nullptr;
  return body == nullptr ? nullptr : ReadBytes(*body, *limit).Release();
}

PyObject* ReadLineMethod(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  const std::optional<std::size_t> limit = ParseLimit(args, count, "readline");
  RequestBody* body = limit ? BodyOf(self) : nullptr;
  return body == nullptr ? nullptr : ReadLine(*body, *limit).Release();
}

PyObject* ReadLines(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  const std::optional<std::size_t> hint = ParseLimit(args, count, "readlines");
  if (!hint)
    return nullptr;
  const std::size_t enough = *hint == 0 ? kNoLimit : *hint;
  PyRef lines = PyRef::Steal(PyList_New(0));
  std::size_t total = 0;
  while (lines && total < enough) {
    RequestBody* body = BodyOf(self);
    if (body == nullptr)
      return nullptr;
    const PyRef line = ReadLine(*body, kNoLimit);
    if (!line || PyBytes_GET_SIZE(line.get()) == 0)
      return line ? lines.Release() : nullptr;
    total += ViewOfBytes(line.get()).size();
    if (PyList_Append(lines.get(), line.get()) != 0)
      return nullptr;
  }
  return lines.Release();
}

PyObject* ReadIntoMethod(PyObject* self, PyObject* target) {
  RequestBody* body = BodyOf(self);
  Py_buffer buffer;
  if (body == nullptr || PyObject_GetBuffer(target, &buffer, PyBUF_CONTIG) != 0)
    return nullptr;
  const PyRef bytes = ReadBytes(*body, static_cast<std::size_t>(buffer.len));
  if (bytes)
    std::memcpy(buffer.buf, PyBytes_AS_STRING(bytes.get()), ViewOfBytes(bytes.get()).size());
  PyBuffer_Release(&buffer);
  return bytes ? PyLong_FromSsize_t(PyBytes_GET_SIZE(bytes.get())) : nullptr;
}

PyObject* Next(PyObject* self) {
  RequestBody* body = BodyOf(self);
  if (body == nullptr)
    return nullptr;
  PyRef line = ReadLine(*body, kNoLimit);
  if (!line || PyBytes_GET_SIZE(line.get()) == 0)
    return nullptr;  // an exception, or the end of the iteration
  return line.Release();
}

PyObject* ReturnTrue(PyObject*, PyObject*) {
  Py_RETURN_TRUE;
}
PyObject* ReturnFalse(PyObject*, PyObject*) {
  Py_RETURN_FALSE;
}
PyObject* ReturnNone(PyObject*, PyObject*) {
  Py_RETURN_NONE;
}
PyObject* GetClosed(PyObject*, void*) {
  Py_RETURN_FALSE;
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyCFunction FastCall(_PyCFunctionFast function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"read", FastCall(Read), METH_FASTCALL, "read(size=-1): bytes of the body; b'' at its end"},
    {"readline", FastCall(ReadLineMethod), METH_FASTCALL, "readline(size=-1): up to the newline"},
    {"readlines", FastCall(ReadLines), METH_FASTCALL, "readlines(hint=-1): a list of lines"},
    {"readinto", ReadIntoMethod, METH_O, "readinto(buffer): the number of bytes read"},
    {"readable", ReturnTrue, METH_NOARGS, nullptr},
    {"writable", ReturnFalse, METH_NOARGS, nullptr},
    {"seekable", ReturnFalse, METH_NOARGS, nullptr},
    {"flush", ReturnNone, METH_NOARGS, nullptr},
    {"close", ReturnNone, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef properties[] = {{"closed", GetClosed, nullptr, nullptr, nullptr},
                            {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, AsSlot(Dealloc)},
                       {Py_tp_methods, static_cast<void*>(methods)},
                       {Py_tp_getset, static_cast<void*>(properties)},
                       {Py_tp_iter, AsSlot(PyObject_SelfIter)},
                       {Py_tp_iternext, AsSlot(Next)},
                       {0, nullptr}};

PyType_Spec spec = {
    "cloister.Input", sizeof(Input), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};

}  // namespace

bool PrepareInput() {
  input_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return input_type != nullptr;
}

PyRef NewInput(RequestBody& body) {
  auto* self = PyObject_New(Input, input_type);
  if (self == nullptr)
    return {};
  self->body = &body;
  return PyRef::Steal(reinterpret_cast<PyObject*>(self));
}

void DetachInput(PyObject* input) {
  reinterpret_cast<Input*>(input)->body = nullptr;
}

}  // namespace cloister
