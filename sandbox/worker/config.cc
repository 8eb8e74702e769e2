#include "sandbox/worker/config.h"

#include <unistd.h>

#include <cstring>
#include <string>
#include <string_view>

#include "apis/wire/config_values.h"

namespace cloister {
namespace {

constexpr int kExitProtocol = 3;

bool AddValue(PyObject* values, PyObject* secrets, const ConfigValue& value) {
  const PyRef name = Utf8Text(value.name);
  const PyRef text = Utf8Text(value.value);
  return name && text && PyDict_SetItem(values, name.get(), text.get()) == 0 &&
         (!value.secret || PySet_Add(secrets, name.get()) == 0);
}

// The tuple of an encoded config. Empty with an exception.
PyRef TupleOf(std::string_view payload) {
  const Result<std::vector<ConfigValue>> read = ReadConfig(payload);
  if (!read.ok())
    ::_exit(kExitProtocol);
  const PyRef values = PyRef::Steal(PyDict_New());
  // A frozenset that nobody else has yet may be added to.
  const PyRef secrets = PyRef::Steal(PyFrozenSet_New(nullptr));
  if (!values || !secrets)
    return {};
  for (const ConfigValue& value : read.value())
    if (!AddValue(values.get(), secrets.get(), value))
      return {};
  return PyRef::Steal(PyTuple_Pack(2, values.get(), secrets.get()));
}

// The bytes have become strings of Python's and are not needed twice.
PyRef TupleAndWipe(std::string payload) {
  PyRef tuple = TupleOf(payload);
  ::explicit_bzero(payload.data(), payload.size());
  return tuple;
}

}  // namespace

bool TakeFirstConfig(Runtime& runtime) {
  std::optional<std::string> payload = runtime.channel.WaitForConfig();
  if (!payload)
    return false;
  // Most apps have none: nothing is made for them.
  if (payload->empty())
    return true;
  runtime.config = TupleAndWipe(std::move(*payload));
  return static_cast<bool>(runtime.config);
}

bool TakeNewConfig(Runtime& runtime) {
  std::optional<std::string> payload = runtime.channel.TakeConfig();
  if (!payload)
    return true;
  const PyRef former = ConfigTuple(runtime);
  PyRef next = TupleAndWipe(std::move(*payload));
  if (!former || !next)
    return false;
  runtime.config = std::move(next);
  const PyRef module = PyRef::Steal(PyImport_ImportModule("_cloister_runtime.live_config"));
  return module && PyRef::Steal(PyObject_CallMethod(module.get(), "change", "OO", former.get(),
                                                    runtime.config.get()));
}

PyRef ConfigTuple(const Runtime& runtime) {
  if (runtime.config)
    return PyRef::Share(runtime.config.get());
  return TupleOf({});
}

}  // namespace cloister
