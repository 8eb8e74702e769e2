#pragma once

// CPython, and PyRef: one owned reference to one of its objects.
//
// Functions of ours that return an empty PyRef or false have set a Python exception, unless they
// say otherwise. All of them need the GIL.

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>
#include <structmember.h>

#include <string>
#include <string_view>
#include <utility>

namespace cloister {

class PyRef {
 public:
  PyRef() = default;
  // Takes over a new reference (what most of the C API returns).
  static PyRef Steal(PyObject* object) { return PyRef(object); }
  // Adds a reference to a borrowed one.
  static PyRef Share(PyObject* object) {
    Py_XINCREF(object);
    return PyRef(object);
  }

  PyRef(PyRef&& other) noexcept : object_(other.Release()) {}
  PyRef& operator=(PyRef&& other) noexcept {
    // The old object dies last: its destructor may run Python code that sees the new state.
    PyObject* old = std::exchange(object_, other.Release());
    Py_XDECREF(old);
    return *this;
  }
  PyRef(const PyRef&) = delete;
  PyRef& operator=(const PyRef&) = delete;
  ~PyRef() { Py_XDECREF(object_); }

  PyObject* get() const { return object_; }
  PyObject* Release() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  explicit PyRef(PyObject* object) : object_(object) {}

  PyObject* object_ = nullptr;
};

// A native string of PEP 3333: each byte becomes the code point of the same number.
inline PyRef Latin1Text(std::string_view bytes) {
  return PyRef::Steal(
      PyUnicode_DecodeLatin1(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), nullptr));
}

inline PyRef Utf8Text(std::string_view bytes) {
  return PyRef::Steal(
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace"));
}

inline PyRef BytesOf(std::string_view bytes) {
  return PyRef::Steal(
      PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())));
}

// The bytes of a `bytes` object; valid as long as it.
inline std::string_view ViewOfBytes(PyObject* bytes) {
  return {PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))};
}

// The UTF-8 form of a `str`, valid as long as it; empty with an exception set when it has none.
inline std::string_view ViewOfText(PyObject* text) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text, &size);
  return data == nullptr ? std::string_view{}
                         : std::string_view{data, static_cast<std::size_t>(size)};
}

// A function as a PyType_Slot holds it.
template <typename Function>
void* AsSlot(Function* function) {
  return reinterpret_cast<void*>(function);
}

inline constexpr int kSizeMember = T_PYSSIZET;
inline constexpr int kReadOnlyMember = READONLY;

// Releases the GIL for as long as it lives.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() { PyEval_RestoreThread(state_); }

 private:
  PyThreadState* state_;
};

}  // namespace cloister
