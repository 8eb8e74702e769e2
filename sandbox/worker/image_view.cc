#include "sandbox/worker/image_view.h"

#include <string>
#include <string_view>

namespace cloister {
namespace {

struct ImageView {
  PyObject_HEAD const Image* image;
};

PyTypeObject* view_type = nullptr;

// What lookup() and list() say in place of an index.
constexpr long kAbsent = -1;
constexpr long kDirectory = -2;

// What module() found, in the order in which Python prefers it.
constexpr int kPackage = 1;
constexpr int kModule = 2;
constexpr int kNamespace = 3;

const Image& ImageOf(PyObject* self) {
  return *reinterpret_cast<ImageView*>(self)->image;
}

bool IsDirectory(const Image& image, const std::string& path) {
  if (path.empty())
    return true;
  const std::string prefix = path + "/";
  const std::size_t index = image.LowerBound(prefix);
  return index < image.size() && image.At(index).path.starts_with(prefix);
}

// The index of a file, or kAbsent.
long FindFile(const Image& image, std::string_view path) {
  const std::size_t index = image.LowerBound(path);
  if (index == image.size() || image.At(index).path != path)
    return kAbsent;
  return static_cast<long>(index);
}

// The path as bytes. False: it has no UTF-8 form, so nothing is called that; no exception is set.
bool ReadPath(PyObject* object, std::string& path) {
  if (!PyUnicode_Check(object))
    return false;
  const std::string_view text = ViewOfText(object);
  if (PyErr_Occurred()) {
    PyErr_Clear();
    return false;
  }
  path = text;
  return true;
}

PyObject* Lookup(PyObject* self, PyObject* object) {
  std::string path;
  if (!ReadPath(object, path))
    return PyLong_FromLong(kAbsent);
  const long index = FindFile(ImageOf(self), path);
  if (index == kAbsent && IsDirectory(ImageOf(self), path))
    return PyLong_FromLong(kDirectory);
  return PyLong_FromLong(index);
}

PyObject* Module(PyObject* self, PyObject* object) {
  std::string base;
  if (!ReadPath(object, base))
    Py_RETURN_NONE;
  const Image& image = ImageOf(self);
  long index = FindFile(image, base + "/__init__.py");
  if (index != kAbsent)
    return Py_BuildValue("(il)", kPackage, index);
  index = FindFile(image, base + ".py");
  if (index != kAbsent)
    return Py_BuildValue("(il)", kModule, index);
  if (IsDirectory(image, base))
    return Py_BuildValue("(il)", kNamespace, kAbsent);
  Py_RETURN_NONE;
}

// Appends (name, index or kDirectory) of the entry at `index` below `prefix` to `list`.
bool AppendChild(PyObject* list, std::string_view name, long index) {
  const PyRef item = PyRef::Steal(
      Py_BuildValue("(s#l)", name.data(), static_cast<Py_ssize_t>(name.size()), index));
  return item && PyList_Append(list, item.get()) == 0;
}

PyObject* List(PyObject* self, PyObject* object) {
  std::string prefix;
  PyRef list = PyRef::Steal(PyList_New(0));
  if (!list || !ReadPath(object, prefix))
    return list.Release();
  if (!prefix.empty())
    prefix += '/';
  const Image& image = ImageOf(self);
  std::size_t index = image.LowerBound(prefix);
  while (index < image.size() && image.At(index).path.starts_with(prefix)) {
    const std::string_view rest = image.At(index).path.substr(prefix.size());
    const std::size_t slash = rest.find('/');
    const std::string_view name = rest.substr(0, slash);
    const bool is_file = slash == std::string_view::npos;
    if (!AppendChild(list.get(), name, is_file ? static_cast<long>(index) : kDirectory))
      return nullptr;
    // '0' follows '/': the first path that is not below this directory.
    index = is_file ? index + 1 : image.LowerBound(prefix + std::string(name) + '0');
  }
  return list.Release();
}

// The entry that `object` is the index of; an exception when there is none.
bool EntryAt(PyObject* self, PyObject* object, ImageEntry& entry) {
  const Py_ssize_t index = PyNumber_AsSsize_t(object, PyExc_IndexError);
  if (index == -1 && PyErr_Occurred())
    return false;
  if (index < 0 || static_cast<std::size_t>(index) >= ImageOf(self).size()) {
    PyErr_SetString(PyExc_IndexError, "no such entry in the image");
    return false;
  }
  entry = ImageOf(self).At(static_cast<std::size_t>(index));
  return true;
}

PyObject* Path(PyObject* self, PyObject* index) {
  ImageEntry entry;
  return EntryAt(self, index, entry) ? Utf8Text(entry.path).Release() : nullptr;
}

PyObject* Contents(PyObject* self, PyObject* index) {
  ImageEntry entry;
  if (!EntryAt(self, index, entry))
    return nullptr;
  return PyMemoryView_FromMemory(const_cast<char*>(entry.contents.data()),
                                 static_cast<Py_ssize_t>(entry.contents.size()), PyBUF_READ);
}

PyObject* Size(PyObject* self, PyObject* index) {
  ImageEntry entry;
  return EntryAt(self, index, entry) ? PyLong_FromSize_t(entry.contents.size()) : nullptr;
}

PyObject* Code(PyObject* self, PyObject* index) {
  ImageEntry entry;
  if (!EntryAt(self, index, entry))
    return nullptr;
  if (entry.code.empty())
    Py_RETURN_NONE;
  return PyMarshal_ReadObjectFromString(entry.code.data(),
                                        static_cast<Py_ssize_t>(entry.code.size()));
}

PyObject* Time(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(ImageOf(self).time_seconds());
}

Py_ssize_t Length(PyObject* self) {
  return static_cast<Py_ssize_t>(ImageOf(self).size());
}

void Dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"lookup", Lookup, METH_O, "lookup(path): index of a file, -1 absent, -2 a directory"},
    {"module", Module, METH_O, "module(base): (1 package, 2 module, 3 directory; index) or None"},
    {"list", List, METH_O, "list(directory): [(name, index or -2)], sorted"},
    {"path", Path, METH_O, nullptr},
    {"contents", Contents, METH_O, "contents(index): a memoryview of the image"},
    {"size", Size, METH_O, nullptr},
    {"code", Code, METH_O, "code(index): the unmarshalled code object, or None"},
    {"time", Time, METH_NOARGS, "time(): seconds since 1970 that all files show"},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, AsSlot(Dealloc)},
                       {Py_tp_methods, static_cast<void*>(methods)},
                       {Py_sq_length, AsSlot(Length)},
                       {0, nullptr}};

PyType_Spec spec = {
    "_cloister.ImageView", sizeof(ImageView), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};

}  // namespace

bool PrepareImageView() {
  view_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return view_type != nullptr;
}

PyRef NewImageView(const Image& image) {
  auto* self = PyObject_New(ImageView, view_type);
  if (self == nullptr)
    return {};
  self->image = &image;
  return PyRef::Steal(reinterpret_cast<PyObject*>(self));
}

}  // namespace cloister
