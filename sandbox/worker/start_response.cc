#include "sandbox/worker/start_response.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cloister {
namespace {

struct StartResponse {
  PyObject_HEAD vectorcallfunc vectorcall;
  ResponseWriter* response;  // null when the request is over
};

PyTypeObject* start_response_type = nullptr;

constexpr std::array<std::string_view, 9> kHopByHop = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "te",         "trailer",    "trailers",           "transfer-encoding",
    "upgrade"};

StartResponse* Self(PyObject* object) {
  return reinterpret_cast<StartResponse*>(object);
}

bool Refuse(PyObject* type, const char* format, PyObject* object) {
  PyErr_Format(type, format, object);
  return false;
}

bool IsTokenCharacter(unsigned char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         kOthers.find(static_cast<char>(c)) != std::string_view::npos;
}

bool IsControl(unsigned char c) {
  return c < 0x20 || c == 0x7F;
}

bool EqualsLowerCase(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
  });
}

// The characters of a native string; empty optional with an exception when it is none.
std::optional<std::string_view> NativeString(PyObject* object, const char* what) {
  if (!PyUnicode_CheckExact(object)) {
    PyErr_Format(PyExc_TypeError, "%s must be str, not %.100s", what, Py_TYPE(object)->tp_name);
    return std::nullopt;
  }
  if (PyUnicode_READY(object) != 0)
    return std::nullopt;
  if (PyUnicode_KIND(object) != PyUnicode_1BYTE_KIND) {
    PyErr_Format(PyExc_ValueError, "%s has characters outside of latin-1: %R", what, object);
    return std::nullopt;
  }
  return std::string_view(reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(object)),
                          static_cast<std::size_t>(PyUnicode_GET_LENGTH(object)));
}

bool ParseStatus(PyObject* object, ResponseHead& head) {
  const std::optional<std::string_view> text = NativeString(object, "the status");
  if (!text)
    return false;
  int code = 0;
  const bool has_code =
      text->size() >= 4 &&
      std::from_chars(text->data(), text->data() + 3, code).ptr == text->data() + 3;
  if (!has_code || text->at(3) != ' ' || std::ranges::any_of(*text, IsControl))
    return Refuse(PyExc_ValueError, "the status must look like '200 OK', not %R", object);
  if (code < 200 || code > 999)
    return Refuse(PyExc_ValueError, "the status must be 200 or more, not %R", object);
  head.status = static_cast<std::uint16_t>(code);
  head.reason = text->substr(4);
  return true;
}

bool ParseContentLength(std::string_view value, PyObject* shown,
                        std::optional<std::uint64_t>& length) {
  std::uint64_t number = 0;
  const char* end = value.data() + value.size();
  const auto parsed = std::from_chars(value.data(), end, number);
  if (value.empty() || parsed.ec != std::errc() || parsed.ptr != end)
    return Refuse(PyExc_ValueError, "Content-Length must be a number, not %R", shown);
  if (length && *length != number)
    return Refuse(PyExc_ValueError, "Content-Length is given twice and differs: %R", shown);
  length = number;
  return true;
}

bool ParseHeader(PyObject* pair, ResponseHead& head, std::optional<std::uint64_t>& length) {
  if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2)
    return Refuse(PyExc_TypeError, "a header must be a tuple (name, value), not %R", pair);
  PyObject* name_object = PyTuple_GET_ITEM(pair, 0);
  PyObject* value_object = PyTuple_GET_ITEM(pair, 1);
  const std::optional<std::string_view> name = NativeString(name_object, "a header name");
  if (!name)
    return false;
  const std::optional<std::string_view> value = NativeString(value_object, "a header value");
  if (!value)
    return false;
  if (name->empty() || !std::ranges::all_of(*name, IsTokenCharacter))
    return Refuse(PyExc_ValueError, "not a header name: %R", name_object);
  if (std::ranges::any_of(*value, IsControl))
    return Refuse(PyExc_ValueError, "a header value has control characters: %R", pair);
  if (std::ranges::any_of(kHopByHop,
                          [&](std::string_view hop) { return EqualsLowerCase(*name, hop); }))
    return Refuse(PyExc_ValueError, "hop-by-hop headers belong to the server: %R", name_object);
  if (EqualsLowerCase(*name, "content-length") && !ParseContentLength(*value, value_object, length))
    return false;
  head.headers.push_back({.name = *name, .value = *value});
  return true;
}

bool ParseHead(PyObject* status, PyObject* headers, ResponseWriter& response) {
  ResponseHead head;
  if (!ParseStatus(status, head))
    return false;
  if (!PyList_CheckExact(headers)) {
    PyErr_Format(PyExc_TypeError, "the headers must be a list, not %.100s",
                 Py_TYPE(headers)->tp_name);
    return false;
  }
  std::optional<std::uint64_t> length;
  head.headers.reserve(static_cast<std::size_t>(PyList_GET_SIZE(headers)));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); ++i)
    if (!ParseHeader(PyList_GET_ITEM(headers, i), head, length))
      return false;
  const std::string problem = response.SetHead(head, length);
  if (!problem.empty())
    PyErr_SetString(PyExc_ValueError, problem.c_str());
  return problem.empty();
}

// Raises what the app caught: it may no longer change the head.
PyObject* Reraise(PyObject* exc_info) {
  if (!PyTuple_Check(exc_info) || PyTuple_GET_SIZE(exc_info) != 3) {
    PyErr_SetString(PyExc_TypeError, "exc_info must be the tuple of sys.exc_info()");
    return nullptr;
  }
  PyObject* parts[3];
  for (Py_ssize_t i = 0; i < 3; ++i) {
    PyObject* part = PyTuple_GET_ITEM(exc_info, i);
    parts[i] = part == Py_None ? nullptr : Py_NewRef(part);
  }
  PyErr_Restore(parts[0], parts[1], parts[2]);
  if (!PyErr_Occurred())
    PyErr_SetString(PyExc_TypeError, "exc_info holds no exception");
  return nullptr;
}

PyObject* Write(PyObject* self, PyObject* block) {
  ResponseWriter* response = Self(self)->response;
  if (response == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "write() was called after the request was over");
    return nullptr;
  }
  if (!PyBytes_Check(block)) {
    PyErr_Format(PyExc_TypeError, "write() takes bytes, not %.100s", Py_TYPE(block)->tp_name);
    return nullptr;
  }
  if (PyBytes_GET_SIZE(block) == 0)
    Py_RETURN_NONE;
  switch (response->Write(ViewOfBytes(block))) {
    case WriteOutcome::kDone:
      Py_RETURN_NONE;
    case WriteOutcome::kTooLong:
      PyErr_SetString(PyExc_ValueError, "the body is longer than its Content-Length");
      return nullptr;
    case WriteOutcome::kClientGone:
      PyErr_SetString(PyExc_BrokenPipeError, "the client has gone: nobody gets what is written");
      return nullptr;
    case WriteOutcome::kInterrupted:
      return nullptr;
  }
  return nullptr;
}

PyMethodDef write_method = {"write", Write, METH_O, nullptr};

struct Arguments {
  PyObject* status = nullptr;
  PyObject* headers = nullptr;
  PyObject* exc_info = nullptr;
};

// PEP 3333: positional, but for exc_info, which frameworks also name.
bool ParseArguments(PyObject* const* args, Py_ssize_t count, PyObject* names, Arguments& out) {
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  const bool names_exc_info =
      named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "exc_info") == 0;
  if (count < 2 || count + named > 3 || (named != 0 && !names_exc_info)) {
    PyErr_SetString(PyExc_TypeError, "start_response(status, response_headers, exc_info=None)");
    return false;
  }
  out.status = args[0];
  out.headers = args[1];
  if (count + named == 3 && args[2] != Py_None)
    out.exc_info = args[2];
  return true;
}

PyObject* Call(PyObject* self, PyObject* const* args, std::size_t flags, PyObject* names) {
  Arguments arguments;
  if (!ParseArguments(args, PyVectorcall_NARGS(flags), names, arguments))
    return nullptr;
  ResponseWriter* response = Self(self)->response;
  if (response == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "start_response() was called after the request was over");
    return nullptr;
  }
  if (arguments.exc_info != nullptr && response->head_sent())
    return Reraise(arguments.exc_info);
  if (arguments.exc_info == nullptr && response->has_head()) {
    PyErr_SetString(PyExc_AssertionError,
                    "start_response() was called twice; the second call needs exc_info");
    return nullptr;
  }
  if (!ParseHead(arguments.status, arguments.headers, *response))
    return nullptr;
  return PyCFunction_New(&write_method, self);
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyMemberDef members[] = {{"__vectorcalloffset__", kSizeMember, offsetof(StartResponse, vectorcall),
                          kReadOnlyMember, nullptr},
                         {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, AsSlot(Dealloc)},
                       {Py_tp_call, AsSlot(PyVectorcall_Call)},
                       {Py_tp_members, static_cast<void*>(members)},
                       {0, nullptr}};

PyType_Spec spec = {"cloister.start_response", sizeof(StartResponse), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL |
                        Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                    slots};

}  // namespace

bool PrepareStartResponse() {
  start_response_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return start_response_type != nullptr;
}

PyRef NewStartResponse(ResponseWriter& response) {
  auto* self = PyObject_New(StartResponse, start_response_type);
  if (self == nullptr)
    return {};
  self->vectorcall = Call;
  self->response = &response;
  return PyRef::Steal(reinterpret_cast<PyObject*>(self));
}

void DetachStartResponse(PyObject* start_response) {
  Self(start_response)->response = nullptr;
}

}  // namespace cloister
