#include "sandbox/worker/environ.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace cloister {
namespace {

// Header names come from clients: beyond this many different ones keys are made anew each time.
constexpr std::size_t kCachedHeadersMax = 256;

constexpr std::array<std::string_view, 28> kUsualHeaders = {"host",
                                                            "user-agent",
                                                            "accept",
                                                            "accept-language",
                                                            "accept-encoding",
                                                            "connection",
                                                            "cookie",
                                                            "referer",
                                                            "origin",
                                                            "authorization",
                                                            "cache-control",
                                                            "pragma",
                                                            "if-none-match",
                                                            "if-modified-since",
                                                            "range",
                                                            "x-forwarded-for",
                                                            "x-forwarded-proto",
                                                            "x-forwarded-host",
                                                            "x-request-id",
                                                            "x-requested-with",
                                                            "traceparent",
                                                            "tracestate",
                                                            "upgrade-insecure-requests",
                                                            "sec-fetch-dest",
                                                            "sec-fetch-mode",
                                                            "sec-fetch-site",
                                                            "sec-fetch-user",
                                                            "dnt"};

constexpr std::array<std::string_view, 7> kUsualMethods = {"GET",    "HEAD",    "POST", "PUT",
                                                           "DELETE", "OPTIONS", "PATCH"};

struct StringHash {
  using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
using KeyCache = std::unordered_map<std::string, PyObject*, StringHash, std::equal_to<>>;

// Objects that live as long as the process.
struct Constants {
  PyObject* base = nullptr;  // dict: copied for each request
  PyObject* request_method = nullptr;
  PyObject* path_info = nullptr;
  PyObject* query_string = nullptr;
  PyObject* request_uri = nullptr;
  PyObject* content_type = nullptr;
  PyObject* content_length = nullptr;
  PyObject* server_name = nullptr;
  PyObject* server_port = nullptr;
  PyObject* server_protocol = nullptr;
  PyObject* remote_addr = nullptr;
  PyObject* remote_port = nullptr;
  PyObject* url_scheme = nullptr;
  PyObject* input = nullptr;
  PyObject* request_id = nullptr;
  PyObject* http10 = nullptr;
  PyObject* http11 = nullptr;
  PyObject* empty = nullptr;
  std::unordered_map<std::string_view, PyObject*> methods;
};

Constants& TheConstants() {
  static Constants& constants = *new Constants;  // NOLINT(cppcoreguidelines-owning-memory)
  return constants;
}

KeyCache& HeaderKeys() {
  static KeyCache& keys = *new KeyCache;  // NOLINT(cppcoreguidelines-owning-memory)
  return keys;
}

// "accept-language" -> "HTTP_ACCEPT_LANGUAGE"
std::string KeyOf(std::string_view name) {
  std::string key = "HTTP_";
  for (const char c : name) {
    if (c == '-')
      key += '_';
    else
      key += c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  }
  return key;
}

PyRef HeaderKey(std::string_view name) {
  KeyCache& keys = HeaderKeys();
  const auto found = keys.find(name);
  if (found != keys.end())
    return PyRef::Share(found->second);
  PyRef key = Latin1Text(KeyOf(name));
  if (key && keys.size() < kCachedHeadersMax)
    keys.emplace(std::string(name), Py_NewRef(key.get()));
  return key;
}

bool SetText(PyObject* environ, PyObject* key, std::string_view value) {
  const PyRef text = Latin1Text(value);
  return text && PyDict_SetItem(environ, key, text.get()) == 0;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// %2F and all: what WSGI calls PATH_INFO is decoded. A '%' that begins no escape stays.
std::string DecodePercent(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
                           HexDigit(text[i + 2]) >= 0;
    if (is_escape) {
      decoded += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

bool SetTarget(PyObject* environ, std::string_view target) {
  const Constants& constants = TheConstants();
  const std::size_t question = target.find('?');
  const std::string_view path = target.substr(0, question);
  const bool ok = path.find('%') == std::string_view::npos
                      ? SetText(environ, constants.path_info, path)
                      : SetText(environ, constants.path_info, DecodePercent(path));
  if (!ok || !SetText(environ, constants.request_uri, target))
    return false;
  if (question == std::string_view::npos)
    return PyDict_SetItem(environ, constants.query_string, constants.empty) == 0;
  return SetText(environ, constants.query_string, target.substr(question + 1));
}

// A second header of the same name joins the first.
bool JoinHeader(PyObject* environ, PyObject* key, std::string_view name, std::string_view value) {
  PyObject* first = PyDict_GetItemWithError(environ, key);
  if (first == nullptr)
    return !PyErr_Occurred() && SetText(environ, key, value);
  const PyRef second = Latin1Text(value);
  const PyRef joined = PyRef::Steal(
      second ? PyUnicode_FromFormat(name == "cookie" ? "%U; %U" : "%U,%U", first, second.get())
             : nullptr);
  return joined && PyDict_SetItem(environ, key, joined.get()) == 0;
}

bool SetHeader(PyObject* environ, const WireHeader& header) {
  const Constants& constants = TheConstants();
  if (header.name == "content-type")
    return SetText(environ, constants.content_type, header.value);
  // The length is set from what the node knows; the body that the app reads has no coding.
  if (header.name == "content-length" || header.name == "transfer-encoding")
    return true;
  const PyRef key = HeaderKey(header.name);
  return key && JoinHeader(environ, key.get(), header.name, header.value);
}

bool HasHeader(const RequestHead& head, std::string_view name) {
  for (const WireHeader& header : head.headers)
    if (header.name == name)
      return true;
  return false;
}

bool SetContentLength(PyObject* environ, const RequestHead& head) {
  if (head.content_length == kUnknownLength)
    return true;
  if (head.content_length == 0 && !HasHeader(head, "content-length"))
    return true;
  return SetText(environ, TheConstants().content_length, std::to_string(head.content_length));
}

bool SetMethod(PyObject* environ, std::string_view method) {
  const Constants& constants = TheConstants();
  const auto found = constants.methods.find(method);
  if (found == constants.methods.end())
    return SetText(environ, constants.request_method, method);
  return PyDict_SetItem(environ, constants.request_method, found->second) == 0;
}

bool SetConstant(const char* key, PyRef value) {
  return value && PyDict_SetItemString(TheConstants().base, key, value.get()) == 0;
}

bool MakeKeys() {
  Constants& constants = TheConstants();
  struct Key {
    PyObject** object;
    const char* text;
  };
  const Key keys[] = {{&constants.request_method, "REQUEST_METHOD"},
                      {&constants.path_info, "PATH_INFO"},
                      {&constants.query_string, "QUERY_STRING"},
                      {&constants.request_uri, "REQUEST_URI"},
                      {&constants.content_type, "CONTENT_TYPE"},
                      {&constants.content_length, "CONTENT_LENGTH"},
                      {&constants.server_name, "SERVER_NAME"},
                      {&constants.server_port, "SERVER_PORT"},
                      {&constants.server_protocol, "SERVER_PROTOCOL"},
                      {&constants.remote_addr, "REMOTE_ADDR"},
                      {&constants.remote_port, "REMOTE_PORT"},
                      {&constants.url_scheme, "wsgi.url_scheme"},
                      {&constants.input, "wsgi.input"},
                      {&constants.request_id, "cloister.request_id"},
                      {&constants.http10, "HTTP/1.0"},
                      {&constants.http11, "HTTP/1.1"},
                      {&constants.empty, ""}};
  for (const Key& key : keys) {
    *key.object = PyUnicode_InternFromString(key.text);
    if (*key.object == nullptr)
      return false;
  }
  return true;
}

}  // namespace

bool PrepareEnviron() {
  Constants& constants = TheConstants();
  constants.base = PyDict_New();
  if (constants.base == nullptr || !MakeKeys())
    return false;
  for (const std::string_view method : kUsualMethods)
    constants.methods[method] = PyUnicode_InternFromString(method.data());
  for (const std::string_view name : kUsualHeaders)
    if (!HeaderKey(name))
      return false;
  return SetConstant("SCRIPT_NAME", Latin1Text("")) &&
         SetConstant("SERVER_SOFTWARE", Latin1Text("cloister/" CLOISTER_VERSION)) &&
         SetConstant("wsgi.version", PyRef::Steal(Py_BuildValue("(ii)", 1, 0))) &&
         SetConstant("wsgi.multithread", PyRef::Share(Py_False)) &&
         SetConstant("wsgi.multiprocess", PyRef::Share(Py_True)) &&
         SetConstant("wsgi.run_once", PyRef::Share(Py_False)) &&
         SetConstant("wsgi.input_terminated", PyRef::Share(Py_True));
}

bool SetEnvironStreams(PyObject* errors, PyObject* file_wrapper) {
  return SetConstant("wsgi.errors", PyRef::Share(errors)) &&
         SetConstant("wsgi.file_wrapper", PyRef::Share(file_wrapper));
}

PyRef MakeEnviron(const RequestHead& head, PyObject* input) {
  const Constants& constants = TheConstants();
  PyRef environ = PyRef::Steal(PyDict_Copy(constants.base));
  if (!environ)
    return {};
  PyObject* dict = environ.get();
  PyObject* protocol = head.http_minor == 0 ? constants.http10 : constants.http11;
  const bool ok = SetMethod(dict, head.method) && SetTarget(dict, head.target) &&
                  SetText(dict, constants.server_name, head.server_name) &&
                  SetText(dict, constants.server_port, head.server_port) &&
                  PyDict_SetItem(dict, constants.server_protocol, protocol) == 0 &&
                  SetText(dict, constants.remote_addr, head.remote_addr) &&
                  SetText(dict, constants.remote_port, head.remote_port) &&
                  SetText(dict, constants.url_scheme, head.scheme) &&
                  SetText(dict, constants.request_id, head.request_id) &&
                  SetContentLength(dict, head) && PyDict_SetItem(dict, constants.input, input) == 0;
  if (!ok)
    return {};
  for (const WireHeader& header : head.headers)
    if (!SetHeader(dict, header))
      return {};
  return environ;
}

}  // namespace cloister
