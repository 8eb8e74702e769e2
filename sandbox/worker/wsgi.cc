#include "sandbox/worker/wsgi.h"

#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>

#include "apis/wire/channel.h"
#include "apis/wire/codec.h"
#include "sandbox/worker/config.h"
#include "sandbox/worker/environ.h"
#include "sandbox/worker/input.h"
#include "sandbox/worker/request_body.h"
#include "sandbox/worker/response.h"
#include "sandbox/worker/start_response.h"

namespace cloister {
namespace {

constexpr int kExitProtocol = 3;

// A request that runs.
struct Exchange {
  Exchange(Runtime& the_runtime, QueuedRequest& queued, const RequestHead& request_head,
           std::string_view inline_body)
      : runtime(the_runtime),
        head(request_head),
        body(the_runtime.channel, queued, inline_body, request_head.content_length),
        response(the_runtime, queued, request_head.slot) {}

  Runtime& runtime;
  const RequestHead& head;
  RequestBody body;
  ResponseWriter response;
};

bool RaiseNoStart() {
  PyErr_SetString(PyExc_AssertionError,
                  "the app gave a body without calling start_response() before");
  return false;
}

bool RaiseTooLong(std::uint64_t promised) {
  PyErr_Format(PyExc_ValueError, "the body is longer than its Content-Length of %llu bytes",
               static_cast<unsigned long long>(promised));
  return false;
}

bool RaiseNotBytes(const char* what, PyObject* object) {
  PyErr_Format(PyExc_TypeError, "%s must be bytes, not %.100s", what, Py_TYPE(object)->tp_name);
  return false;
}

// Whether a body of `size` bytes keeps what Content-Length promised. Where the method or the
// status forbids a body, there may be none.
bool CheckLength(const Exchange& exchange, std::uint64_t size) {
  const ResponseWriter& response = exchange.response;
  const std::uint64_t promised = response.content_length().value_or(size);
  const bool may_be_empty =
      exchange.head.method == "HEAD" || response.status() == 204 || response.status() == 304;
  if (size == promised || (size == 0 && may_be_empty))
    return true;
  if (size > promised)
    return RaiseTooLong(promised);
  PyErr_Format(PyExc_ValueError, "the body has %llu bytes, but its Content-Length says %llu",
               static_cast<unsigned long long>(size), static_cast<unsigned long long>(promised));
  return false;
}

bool EndForNobody(Exchange& exchange) {
  exchange.response.End();
  return true;
}

bool FinishBody(Exchange& exchange) {
  if (!exchange.response.has_head())
    return RaiseNoStart();
  if (exchange.response.client_gone())
    return EndForNobody(exchange);
  if (!CheckLength(exchange, exchange.response.sent()))
    return false;
  exchange.response.End();
  return true;
}

bool WriteBlock(Exchange& exchange, PyObject* block) {
  if (!PyBytes_Check(block))
    return RaiseNotBytes("a block of the body", block);
  const std::string_view bytes = ViewOfBytes(block);
  if (bytes.empty())
    return true;
  if (!exchange.response.has_head())
    return RaiseNoStart();
  switch (exchange.response.Write(bytes)) {
    case WriteOutcome::kDone:
    case WriteOutcome::kClientGone:
      return true;
    case WriteOutcome::kTooLong:
      return RaiseTooLong(exchange.response.content_length().value_or(0));
    case WriteOutcome::kInterrupted:
      return false;
  }
  return false;
}

std::optional<std::size_t> TotalSize(PyObject* blocks) {
  std::size_t total = 0;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(blocks); ++i) {
    PyObject* block = PySequence_Fast_GET_ITEM(blocks, i);
    if (!PyBytes_Check(block)) {
      RaiseNotBytes("a block of the body", block);
      return std::nullopt;
    }
    total += ViewOfBytes(block).size();
  }
  return total;
}

// A list or tuple is the whole body: its length is checked before anything leaves, and when it
// fits into one frame the answer is one write.
bool SendBlocks(Exchange& exchange, PyObject* blocks) {
  const std::optional<std::size_t> total = TotalSize(blocks);
  if (!total)
    return false;
  ResponseWriter& response = exchange.response;
  if (!response.has_head())
    return RaiseNoStart();
  if (response.client_gone())
    return EndForNobody(exchange);
  if (!CheckLength(exchange, response.sent() + *total))
    return false;
  const bool is_inline = !response.head_sent() && response.FitsInline(*total);
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(blocks); ++i) {
    const PyRef block = PyRef::Share(PySequence_Fast_GET_ITEM(blocks, i));
    if (is_inline)
      response.AppendInline(ViewOfBytes(block.get()));
    else if (!WriteBlock(exchange, block.get()))
      return false;
  }
  response.End();
  return true;
}

// Sends each block before it asks for the next: apps rely on it to stream. Once the client has gone
// it asks for no more.
bool SendIterable(Exchange& exchange, PyObject* result) {
  if (PyBytes_Check(result) || PyUnicode_Check(result)) {
    PyErr_Format(PyExc_TypeError, "the app must return a list of bytes, not %.100s",
                 Py_TYPE(result)->tp_name);
    return false;
  }
  const PyRef iterator = PyRef::Steal(PyObject_GetIter(result));
  if (!iterator) {
    // Most often a return was forgotten.
    if (Py_TYPE(result)->tp_iter == nullptr && !PySequence_Check(result))
      PyErr_Format(PyExc_TypeError, "the app must return an iterable of bytes, not %.100s",
                   Py_TYPE(result)->tp_name);
    return false;
  }
  while (const PyRef block = PyRef::Steal(PyIter_Next(iterator.get()))) {
    if (!WriteBlock(exchange, block.get()))
      return false;
    if (exchange.response.client_gone())
      return true;
  }
  return !PyErr_Occurred();
}

// Calls result.close() if there is one.
bool CallClose(PyObject* result) {
  const PyRef close = PyRef::Steal(PyObject_GetAttrString(result, "close"));
  if (!close) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError))
      return false;
    PyErr_Clear();
    return true;
  }
  return static_cast<bool>(PyRef::Steal(PyObject_CallNoArgs(close.get())));
}

// Sends what the app returned. close() comes after the last block and before the end, so that what
// it says and what it costs still belongs to the request.
bool Respond(Exchange& exchange, PyObject* result) {
  if (PyList_CheckExact(result) || PyTuple_CheckExact(result))
    return SendBlocks(exchange, result);
  if (!SendIterable(exchange, result)) {
    PyObject* type = nullptr;
    PyObject* value = nullptr;
    PyObject* traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    if (!CallClose(result))
      exchange.runtime.LogException();
    PyErr_Restore(type, value, traceback);
    return false;
  }
  if (!CallClose(result)) {
    if (!exchange.response.head_sent())
      return false;
    exchange.runtime.LogException();
  }
  return FinishBody(exchange);
}

bool RunApp(Exchange& exchange, PyObject* app) {
  const PyRef input = NewInput(exchange.body);
  const PyRef start = NewStartResponse(exchange.response);
  bool ok = false;
  if (input && start) {
    const PyRef environ = MakeEnviron(exchange.head, input.get());
    PyObject* args[] = {environ.get(), start.get()};
    const PyRef result =
        PyRef::Steal(environ ? PyObject_Vectorcall(app, args, 2, nullptr) : nullptr);
    ok = result && Respond(exchange, result.get());
  }
  if (input)
    DetachInput(input.get());
  if (start)
    DetachStartResponse(start.get());
  return ok;
}

// The client learns nothing but the id under which the log has the rest.
void SendPlain(Exchange& exchange, std::uint16_t status, std::string_view reason) {
  std::string text(reason);
  text += "\nRequest id: ";
  text += exchange.head.request_id;
  text += '\n';
  const std::string length = std::to_string(text.size());
  const ResponseHead head{.status = status,
                          .reason = reason,
                          .headers = {{.name = "Content-Type", .value = "text/plain"},
                                      {.name = "Content-Length", .value = length}}};
  exchange.response.SetHead(head, text.size());
  exchange.response.AppendInline(text);
  exchange.response.End();
}

// The app raised, or broke a promise; the exception is set.
void HandleFailure(Exchange& exchange) {
  const bool is_wall_time = PyErr_ExceptionMatches(exchange.runtime.wall_time_exceeded.get()) != 0;
  // What write() raised for a client that has gone is nobody's mistake.
  if (exchange.response.client_gone() && PyErr_ExceptionMatches(PyExc_BrokenPipeError) != 0) {
    PyErr_Clear();
    return exchange.response.End();
  }
  exchange.runtime.LogException();
  if (exchange.response.head_sent())
    exchange.response.Abort(is_wall_time ? "the request ran longer than its wall time"
                                         : "the app failed after the head of its response");
  else if (is_wall_time)
    SendPlain(exchange, 504, "Gateway Timeout");
  else
    SendPlain(exchange, 500, "Internal Server Error");
}

}  // namespace

bool PrepareWsgi() {
  return PrepareEnviron() && PrepareStartResponse() && PrepareInput();
}

void ServeRequest(Runtime& runtime, PyObject* app, QueuedRequest& request) {
  WireReader reader(request.payload);
  const Result<RequestHead> decoded = RequestHead::Decode(reader);
  if (!decoded.ok())
    ::_exit(kExitProtocol);
  const RequestHead& head = decoded.value();
  if (runtime.inbox->Claim(head.slot, request.id)) {
    runtime.BeginRequest(request.id, Millis(head.wall_ms));
    Exchange exchange(runtime, request, head, reader.Rest());
    const bool ready = request.for_runtime || TakeNewConfig(runtime);
    if (!ready || !RunApp(exchange, request.for_runtime ? runtime.functions.get() : app))
      HandleFailure(exchange);
    runtime.EndRequest();
  }
  runtime.channel.DropFirst();
}

}  // namespace cloister
