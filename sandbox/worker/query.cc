#include "sandbox/worker/query.h"

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "apis/query/packets.h"
#include "sandbox/worker/runtime.h"

namespace cloister {
namespace {

constexpr Py_ssize_t kArguments = 7;
// Of a row of an answer, and of the columns that it may have.
constexpr std::uint16_t kColumnsMax = 2000;
constexpr const char* kLostCode = "database_lost";

bool TooLarge() {
  PyErr_Format(PyExc_OverflowError, "a statement has at most %zu bytes with its parameters",
               kQueryStatementMax);
  return false;
}

bool AppendBytes(WireWriter& out, QueryValueType type, std::string_view bytes) {
  if (bytes.size() > kQueryStatementMax)
    return TooLarge();
  out.U8(static_cast<std::uint8_t>(type));
  out.Str32(bytes);
  return true;
}

bool AppendValue(WireWriter& out, PyObject* value) {
  if (value == Py_None) {
    out.U8(static_cast<std::uint8_t>(QueryValueType::kNull));
    return true;
  }
  if (PyLong_Check(value)) {
    const long long number = PyLong_AsLongLong(value);
    if (number == -1 && PyErr_Occurred() != nullptr) {
      PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to SQLite INTEGER");
      return false;
    }
    out.U8(static_cast<std::uint8_t>(QueryValueType::kInt));
    out.U64(static_cast<std::uint64_t>(number));
    return true;
  }
  if (PyFloat_Check(value)) {
    out.U8(static_cast<std::uint8_t>(QueryValueType::kReal));
    out.U64(std::bit_cast<std::uint64_t>(PyFloat_AS_DOUBLE(value)));
    return true;
  }
  if (PyUnicode_Check(value)) {
    const std::string_view text = ViewOfText(value);
    return PyErr_Occurred() == nullptr && AppendBytes(out, QueryValueType::kText, text);
  }
  if (PyObject_CheckBuffer(value) == 0) {
    PyErr_Format(PyExc_TypeError, "type '%s' is not supported", Py_TYPE(value)->tp_name);
    return false;
  }
  Py_buffer buffer;
  if (PyObject_GetBuffer(value, &buffer, PyBUF_SIMPLE) != 0)
    return false;
  const bool done =
      AppendBytes(out, QueryValueType::kBlob,
                  {static_cast<const char*>(buffer.buf), static_cast<std::size_t>(buffer.len)});
  PyBuffer_Release(&buffer);
  return done;
}

bool AppendNamed(std::string& message, PyObject* mapping) {
  WireWriter out(message);
  Py_ssize_t place = 0;
  PyObject* name = nullptr;
  PyObject* value = nullptr;
  out.U32(static_cast<std::uint32_t>(PyDict_Size(mapping)));
  while (PyDict_Next(mapping, &place, &name, &value) != 0) {
    if (!PyUnicode_Check(name)) {
      PyErr_SetString(PyExc_TypeError, "names of parameters are str");
      return false;
    }
    const std::string_view text = ViewOfText(name);
    if (PyErr_Occurred() != nullptr || text.size() > UINT16_MAX)
      return PyErr_Occurred() == nullptr && TooLarge();
    out.Str16(text);
    if (!AppendValue(out, value))
      return false;
  }
  return true;
}

bool AppendOrdered(std::string& message, PyObject* sequence) {
  WireWriter out(message);
  const PyRef values = PyRef::Steal(PySequence_Tuple(sequence));
  if (!values)
    return false;
  const Py_ssize_t count = PyTuple_GET_SIZE(values.get());
  out.U32(static_cast<std::uint32_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i)
    if (!AppendValue(out, PyTuple_GET_ITEM(values.get(), i)))
      return false;
  return true;
}

bool AppendSets(std::string& message, PyObject* sets) {
  WireWriter out(message);
  const Py_ssize_t count = PyList_GET_SIZE(sets);
  const bool named = count > 0 && PyDict_Check(PyList_GET_ITEM(sets, 0)) != 0;
  out.U8(named ? 1 : 0);
  out.U32(static_cast<std::uint32_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* set = PyList_GET_ITEM(sets, i);
    if ((PyDict_Check(set) != 0) != named) {
      PyErr_SetString(PyExc_TypeError, "parameters are all with names, or all without");
      return false;
    }
    if (!(named ? AppendNamed(message, set) : AppendOrdered(message, set)))
      return false;
    if (message.size() > kQueryStatementMax)
      return TooLarge();
  }
  return true;
}

bool AppendOne(std::string& message, PyObject* parameters) {
  WireWriter out(message);
  const bool named = PyDict_Check(parameters) != 0;
  out.U8(named ? 1 : 0);
  out.U32(1);
  if (!(named ? AppendNamed(message, parameters) : AppendOrdered(message, parameters)))
    return false;
  return message.size() <= kQueryStatementMax || TooLarge();
}

bool Encode(std::string& message, PyObject* const* args) {
  WireWriter out(message);
  const unsigned long long session = PyLong_AsUnsignedLongLong(args[0]);
  const long begin = PyLong_AsLong(args[1]);
  const long flags = PyLong_AsLong(args[2]);
  const bool many = PyObject_IsTrue(args[3]) == 1;
  const long long last_row_id = PyLong_AsLongLong(args[4]);
  if (PyErr_Occurred() != nullptr)
    return false;
  if (!PyUnicode_Check(args[5]) || (many && !PyList_Check(args[6]))) {
    PyErr_SetString(PyExc_TypeError, "a statement is a str, many parameters are a list");
    return false;
  }
  const std::string_view sql = ViewOfText(args[5]);
  if (PyErr_Occurred() != nullptr)
    return false;
  if (sql.size() > kQueryStatementMax)
    return TooLarge();
  out.U64(session);
  out.U8(static_cast<std::uint8_t>(begin));
  out.U8(static_cast<std::uint8_t>(flags));
  out.U8(many ? 1 : 0);
  out.U64(static_cast<std::uint64_t>(last_row_id));
  out.Str32(sql);
  return many ? AppendSets(message, args[6]) : AppendOne(message, args[6]);
}

// --- Answers. The process is as hostile as anybody: every count is held against what is there.

PyRef ValueOf(WireReader& in) {
  bool sound = true;
  const QueryValue value = QueryValue::Read(in, sound);
  if (!sound)
    return {};
  switch (value.type) {
    case QueryValueType::kNull:
      return PyRef::Share(Py_None);
    case QueryValueType::kInt:
      return PyRef::Steal(PyLong_FromLongLong(value.integer));
    case QueryValueType::kReal:
      return PyRef::Steal(PyFloat_FromDouble(value.real));
    case QueryValueType::kText:
      return PyRef::Steal(PyUnicode_DecodeUTF8(
          value.bytes.data(), static_cast<Py_ssize_t>(value.bytes.size()), nullptr));
    case QueryValueType::kBlob:
      return BytesOf(value.bytes);
  }
  return {};
}

PyRef TextOrNone(WireReader& in) {
  if (in.U8() == 0)
    return PyRef::Share(Py_None);
  return Utf8Text(in.Str32());
}

PyRef ColumnsOf(WireReader& in, std::uint16_t count) {
  PyRef columns = PyRef::Steal(PyTuple_New(count));
  for (std::uint16_t i = 0; columns && i < count; ++i) {
    const PyRef name = TextOrNone(in);
    const PyRef type = TextOrNone(in);
    PyRef column = name && type ? PyRef::Steal(PyTuple_Pack(2, name.get(), type.get())) : PyRef();
    if (!column)
      return {};
    PyTuple_SET_ITEM(columns.get(), i, column.Release());
  }
  return columns;
}

PyRef RowsOf(WireReader& in, std::uint16_t columns) {
  const std::uint32_t count = in.U32();
  PyRef rows = PyRef::Steal(PyList_New(0));
  for (std::uint32_t i = 0; rows && in.ok() && i < count; ++i) {
    PyRef row = PyRef::Steal(PyTuple_New(columns));
    for (std::uint16_t column = 0; row && column < columns; ++column) {
      PyRef value = ValueOf(in);
      if (!value)
        return {};
      PyTuple_SET_ITEM(row.get(), column, value.Release());
    }
    if (!row || !in.ok() || PyList_Append(rows.get(), row.get()) != 0)
      return {};
  }
  return rows;
}

PyObject* Malformed() {
  if (PyErr_Occurred() == nullptr)
    PyErr_SetString(PyExc_SystemError, "the app's database gave an answer that is none");
  return nullptr;
}

// Raises cloister.query.Failure(*arguments).
PyObject* Raise(const PyRef& arguments) {
  const PyRef module = PyRef::Steal(PyImport_ImportModule("cloister.query"));
  const PyRef type =
      PyRef::Steal(module ? PyObject_GetAttrString(module.get(), "Failure") : nullptr);
  const PyRef error =
      PyRef::Steal(type && arguments ? PyObject_CallObject(type.get(), arguments.get()) : nullptr);
  if (error)
    PyErr_SetObject(type.get(), error.get());
  return nullptr;
}

PyObject* RaiseLost(std::string_view why) {
  return Raise(PyRef::Steal(Py_BuildValue("(siiiss#)", "lost", 0, -1, 0, kLostCode, why.data(),
                                          static_cast<Py_ssize_t>(why.size()))));
}

PyObject* RaiseFailed(WireReader& in, int in_transaction, int flags) {
  const int kind = in.U8();
  const std::string_view code = in.Str16();
  const std::string_view message = in.Str32();
  if (!in.AtEnd())
    return Malformed();
  const PyRef text = Utf8Text(message);
  return Raise(
      PyRef::Steal(Py_BuildValue("(siiis#O)", "failed", in_transaction, flags, kind, code.data(),
                                 static_cast<Py_ssize_t>(code.size()), text.get())));
}

PyObject* RaiseRefused(WireReader& in, int in_transaction, int flags) {
  const std::string_view quota = in.Str16();
  const std::uint64_t limit = in.U64();
  const std::uint64_t used = in.U64();
  const std::uint32_t retry_after = in.U32();
  if (!in.AtEnd())
    return Malformed();
  return Raise(PyRef::Steal(Py_BuildValue(
      "(siis#KKI)", "refused", in_transaction, flags, quota.data(),
      static_cast<Py_ssize_t>(quota.size()), static_cast<unsigned long long>(limit),
      static_cast<unsigned long long>(used), static_cast<unsigned int>(retry_after))));
}

// The statement is done, but its rows are no values: text that is not UTF-8.
PyObject* RaiseUndecodable(int in_transaction, int flags) {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  const PyRef kind = PyRef::Steal(type);
  const PyRef error = PyRef::Steal(value);
  const PyRef trace = PyRef::Steal(traceback);
  const PyRef message =
      PyRef::Steal(PyUnicode_FromFormat("Could not decode to UTF-8: %S", error.get()));
  if (!message)
    return nullptr;
  return Raise(PyRef::Steal(Py_BuildValue("(siiisO)", "failed", in_transaction, flags,
                                          static_cast<int>(QueryErrorClass::kOperational),
                                          "sql_error", message.get())));
}

PyObject* TakeReply(std::string_view reply) {
  WireReader in(reply);
  const QueryStatus status{in.U8()};
  const int in_transaction = in.U8();
  const int flags = in.U8();
  if (status == QueryStatus::kFailed)
    return RaiseFailed(in, in_transaction, flags);
  if (status == QueryStatus::kQuotaExceeded)
    return RaiseRefused(in, in_transaction, flags);
  const auto changed = static_cast<std::int64_t>(in.U64());
  const bool has_row_id = in.U8() != 0;
  const auto row_id = static_cast<std::int64_t>(in.U64());
  const std::uint16_t count = in.U16();
  if (status != QueryStatus::kDone || !in.ok() || count > kColumnsMax)
    return Malformed();
  const PyRef columns = ColumnsOf(in, count);
  const PyRef rows = columns ? RowsOf(in, count) : PyRef();
  if (!rows && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) != 0)
    return RaiseUndecodable(in_transaction, flags);
  if (!rows || !in.AtEnd())
    return Malformed();
  const PyRef id = has_row_id ? PyRef::Steal(PyLong_FromLongLong(row_id)) : PyRef::Share(Py_None);
  return Py_BuildValue("(iiLOOO)", in_transaction, flags, static_cast<long long>(changed), id.get(),
                       columns.get(), rows.get());
}

}  // namespace

PyObject* RunQuery(PyObject* /*module*/, PyObject* const* args, Py_ssize_t count) {
  if (count != kArguments) {
    PyErr_Format(PyExc_TypeError, "query takes %zd arguments", kArguments);
    return nullptr;
  }
  std::string message;
  if (!Encode(message, args))
    return nullptr;
  std::string reply;
  switch (TheRuntime().query.Call(message, reply)) {
    case QueryChannel::Outcome::kAnswered:
      return TakeReply(reply);
    case QueryChannel::Outcome::kLost:
      return RaiseLost(reply);
    case QueryChannel::Outcome::kInterrupted:
      break;
  }
  return nullptr;
}

PyObject* QueryEpoch(PyObject* /*module*/, PyObject* /*unused*/) {
  return PyLong_FromUnsignedLong(TheRuntime().query.epoch());
}

}  // namespace cloister
