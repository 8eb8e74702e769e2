#include "sandbox/worker/call.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "apis/calls.h"
#include "sandbox/worker/runtime.h"

namespace cloister {
namespace {

using call::Type;

struct BoundCall {
  PyObject_HEAD vectorcallfunc vectorcall;
  const CallInfo* info;
};

PyTypeObject* bound_type = nullptr;

// --- From Python

bool TooLarge() {
  PyErr_Format(PyExc_ValueError, "a call has at most %zu bytes", kCallMax);
  return false;
}

bool AppendBytes(WireWriter& out, std::string_view bytes) {
  if (bytes.size() > kCallMax)
    return TooLarge();
  out.Str32(bytes);
  return true;
}

bool EncodeBytes(WireWriter& out, PyObject* value) {
  if (PyBytes_Check(value))
    return AppendBytes(out, ViewOfBytes(value));
  if (PyUnicode_Check(value)) {
    const std::string_view text = ViewOfText(value);
    return !PyErr_Occurred() && AppendBytes(out, text);
  }
  Py_buffer buffer;
  if (PyObject_GetBuffer(value, &buffer, PyBUF_SIMPLE) != 0)
    return false;
  const bool fits = AppendBytes(
      out, {static_cast<const char*>(buffer.buf), static_cast<std::size_t>(buffer.len)});
  PyBuffer_Release(&buffer);
  return fits;
}

bool EncodeUnsigned(WireWriter& out, PyObject* value, Type type) {
  const PyRef number = PyRef::Steal(PyNumber_Index(value));
  if (!number)
    return false;
  const unsigned long long wide = PyLong_AsUnsignedLongLong(number.get());
  if (wide == std::numeric_limits<unsigned long long>::max() && PyErr_Occurred())
    return false;
  const std::uint64_t max = type == Type::kU8    ? std::numeric_limits<std::uint8_t>::max()
                            : type == Type::kU32 ? std::numeric_limits<std::uint32_t>::max()
                                                 : std::numeric_limits<std::uint64_t>::max();
  if (wide > max) {
    PyErr_SetString(PyExc_OverflowError, "a number is too large for its call");
    return false;
  }
  if (type == Type::kU8)
    out.U8(static_cast<std::uint8_t>(wide));
  else if (type == Type::kU32)
    out.U32(static_cast<std::uint32_t>(wide));
  else
    out.U64(wide);
  return true;
}

bool EncodeSigned(WireWriter& out, PyObject* value) {
  const PyRef number = PyRef::Steal(PyNumber_Index(value));
  if (!number)
    return false;
  const long long wide = PyLong_AsLongLong(number.get());
  if (wide == -1 && PyErr_Occurred())
    return false;
  out.U64(static_cast<std::uint64_t>(wide));
  return true;
}

bool EncodeElement(WireWriter& out, PyObject* value, Type type);

bool EncodeOptional(WireWriter& out, PyObject* value, Type type) {
  out.U8(value == Py_None ? 0 : 1);
  return value == Py_None || EncodeElement(out, value, type);
}

bool EncodeList(WireWriter& out, PyObject* value, Type type) {
  // Bytes and text are sequences of what nobody means here.
  if (PyBytes_Check(value) || PyUnicode_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "a list is wanted");
    return false;
  }
  // A copy: an element's own code may change the list.
  const PyRef list = PyRef::Steal(PySequence_Tuple(value));
  if (!list)
    return false;
  const auto size = static_cast<std::size_t>(PyTuple_GET_SIZE(list.get()));
  if (size > kCallListMax) {
    PyErr_Format(PyExc_ValueError, "a list of a call has at most %zu elements", kCallListMax);
    return false;
  }
  out.U32(static_cast<std::uint32_t>(size));
  for (std::size_t i = 0; i < size; ++i)
    if (!EncodeElement(out, PyTuple_GET_ITEM(list.get(), static_cast<Py_ssize_t>(i)), type))
      return false;
  return true;
}

bool EncodeElement(WireWriter& out, PyObject* value, Type type) {
  switch (type) {
    case Type::kU8:
    case Type::kU32:
    case Type::kU64:
      return EncodeUnsigned(out, value, type);
    case Type::kI64:
      return EncodeSigned(out, value);
    case Type::kBytes:
      return EncodeBytes(out, value);
    case Type::kOptBytes:
      return EncodeOptional(out, value, Type::kBytes);
    case Type::kOptI64:
      return EncodeOptional(out, value, Type::kI64);
    case Type::kListBytes:
      return EncodeList(out, value, Type::kBytes);
    case Type::kListOptBytes:
      return EncodeList(out, value, Type::kOptBytes);
    case Type::kListU8:
      return EncodeList(out, value, Type::kU8);
    case Type::kNone:
      break;
  }
  PyErr_SetString(PyExc_SystemError, "a call without a type");
  return false;
}

// --- To Python

PyRef DecodeElement(WireReader& in, Type type);

PyRef DecodeOptional(WireReader& in, Type type) {
  return in.U8() == 0 ? PyRef::Share(Py_None) : DecodeElement(in, type);
}

PyRef DecodeList(WireReader& in, Type type) {
  PyRef list = PyRef::Steal(PyList_New(0));
  const std::uint32_t size = in.U32();
  for (std::uint32_t i = 0; list && in.ok() && i < size; ++i) {
    const PyRef element = DecodeElement(in, type);
    if (!element || PyList_Append(list.get(), element.get()) != 0)
      return {};
  }
  return list;
}

PyRef DecodeElement(WireReader& in, Type type) {
  switch (type) {
    case Type::kU8:
      return PyRef::Steal(PyLong_FromLong(in.U8()));
    case Type::kU32:
      return PyRef::Steal(PyLong_FromUnsignedLong(in.U32()));
    case Type::kU64:
      return PyRef::Steal(PyLong_FromUnsignedLongLong(in.U64()));
    case Type::kI64:
      return PyRef::Steal(PyLong_FromLongLong(static_cast<std::int64_t>(in.U64())));
    case Type::kBytes:
      return BytesOf(in.Str32());
    case Type::kOptBytes:
      return DecodeOptional(in, Type::kBytes);
    case Type::kOptI64:
      return DecodeOptional(in, Type::kI64);
    case Type::kListBytes:
      return DecodeList(in, Type::kBytes);
    case Type::kListOptBytes:
      return DecodeList(in, Type::kOptBytes);
    case Type::kListU8:
      return DecodeList(in, Type::kU8);
    case Type::kNone:
      break;
  }
  PyErr_SetString(PyExc_SystemError, "an answer without a type");
  return {};
}

PyObject* DecodeResults(WireReader& in, const CallInfo& info) {
  if (info.results.size() == 1)
    return DecodeElement(in, info.results.front()).Release();
  PyRef results = PyRef::Steal(PyTuple_New(static_cast<Py_ssize_t>(info.results.size())));
  for (std::size_t i = 0; results && i < info.results.size(); ++i) {
    PyRef value = DecodeElement(in, info.results[i]);
    if (!value)
      return nullptr;
    PyTuple_SET_ITEM(results.get(), static_cast<Py_ssize_t>(i), value.Release());
  }
  return results.Release();
}

// An exception class of the package. Looked up when it is raised: rarely, and in no hurry.
PyRef PackageClass(const char* name) {
  const PyRef package = PyRef::Steal(PyImport_ImportModule("cloister"));
  return package ? PyRef::Steal(PyObject_GetAttrString(package.get(), name)) : PyRef();
}

void Raise(const char* name, const PyRef& args) {
  const PyRef type = PackageClass(name);
  const PyRef error =
      PyRef::Steal(type && args ? PyObject_CallObject(type.get(), args.get()) : nullptr);
  if (error)
    PyErr_SetObject(type.get(), error.get());
}

PyObject* RaiseQuotaExceeded(WireReader& in) {
  constexpr double kMillisPerSecond = 1000;
  const std::string_view quota = in.Str16();
  const std::uint64_t limit = in.U64();
  const std::uint64_t used = in.U64();
  const std::uint32_t retry_after = in.U32();
  const PyRef seconds = retry_after == 0
                            ? PyRef::Share(Py_None)
                            : PyRef::Steal(PyFloat_FromDouble(retry_after / kMillisPerSecond));
  if (seconds)
    Raise("QuotaExceeded",
          PyRef::Steal(Py_BuildValue("(s#KKO)", quota.data(), static_cast<Py_ssize_t>(quota.size()),
                                     static_cast<unsigned long long>(limit),
                                     static_cast<unsigned long long>(used), seconds.get())));
  return nullptr;
}

PyObject* RaiseApiError(WireReader& in) {
  const std::string_view code = in.Str16();
  const std::string_view message = in.Str32();
  Raise("ApiError",
        PyRef::Steal(Py_BuildValue("(s#s#)", code.data(), static_cast<Py_ssize_t>(code.size()),
                                   message.data(), static_cast<Py_ssize_t>(message.size()))));
  return nullptr;
}

PyObject* TakeReply(std::string_view reply, const CallInfo& info) {
  WireReader in(reply);
  switch (CallStatus{in.U8()}) {
    case CallStatus::kDone:
      return DecodeResults(in, info);
    case CallStatus::kQuotaExceeded:
      return RaiseQuotaExceeded(in);
    case CallStatus::kFailed:
      return RaiseApiError(in);
  }
  PyErr_SetString(PyExc_SystemError, "an answer of an unknown kind");
  return nullptr;
}

// --- The callable

PyObject* Invoke(PyObject* self, PyObject* const* args, std::size_t flags, PyObject* keywords) {
  const CallInfo& info = *reinterpret_cast<BoundCall*>(self)->info;
  const auto count = static_cast<std::size_t>(PyVectorcall_NARGS(flags));
  if ((keywords != nullptr && PyTuple_GET_SIZE(keywords) > 0) || count != info.args.size()) {
    PyErr_Format(PyExc_TypeError, "%s takes %zu positional arguments",
                 std::string(info.method).c_str(), info.args.size());
    return nullptr;
  }
  std::string message;
  WireWriter out(message);
  out.U16(static_cast<std::uint16_t>(info.number));
  for (std::size_t i = 0; i < count; ++i)
    if (!EncodeElement(out, args[i], info.args[i]))
      return nullptr;
  if (message.size() > kCallMax) {
    TooLarge();
    return nullptr;
  }
  std::string reply;
  if (!TheRuntime().channel.Call(message, reply))
    return nullptr;
  return TakeReply(reply, info);
}

PyObject* Represent(PyObject* self) {
  const std::string method(reinterpret_cast<BoundCall*>(self)->info->method);
  return PyUnicode_FromFormat("<call %s>", method.c_str());
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyMemberDef members[] = {{"__vectorcalloffset__", kSizeMember, offsetof(BoundCall, vectorcall),
                          kReadOnlyMember, nullptr},
                         {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, AsSlot(Dealloc)},
                       {Py_tp_call, AsSlot(PyVectorcall_Call)},
                       {Py_tp_members, static_cast<void*>(members)},
                       {Py_tp_repr, AsSlot(Represent)},
                       {0, nullptr}};

PyType_Spec spec = {"_cloister.Call", sizeof(BoundCall), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL |
                        Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                    slots};

}  // namespace

bool PrepareCall() {
  bound_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return bound_type != nullptr;
}

PyObject* BindCall(PyObject* /*module*/, PyObject* method) {
  if (!PyUnicode_Check(method)) {
    PyErr_SetString(PyExc_TypeError, "the name of a call is a str");
    return nullptr;
  }
  const std::string_view name = ViewOfText(method);
  for (const CallInfo& info : Calls()) {
    if (info.method != name)
      continue;
    auto* self = PyObject_New(BoundCall, bound_type);
    if (self == nullptr)
      return nullptr;
    self->vectorcall = Invoke;
    self->info = &info;
    return reinterpret_cast<PyObject*>(self);
  }
  if (!PyErr_Occurred())
    PyErr_Format(PyExc_ValueError, "there is no call %R", method);
  return nullptr;
}

}  // namespace cloister
