#include "daemon/http/message.h"

#include <algorithm>
#include <array>

#include "apis/base/unicode.h"
#include "daemon/http/text.h"

namespace cloister {
namespace {

// Headers that describe the connection and not the message (RFC 9110, 7.6.1): the node frames every
// response itself.
constexpr std::array<std::string_view, 8> kHopByHop = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-connection",
    "te",         "trailer",    "transfer-encoding",  "upgrade"};

constexpr std::size_t kReasonMax = 128;

struct StatusRow {
  int status;
  std::string_view phrase;
};

// By status.
constexpr std::array kStatusRows = {StatusRow{100, "Continue"},
                                    StatusRow{101, "Switching Protocols"},
                                    StatusRow{200, "OK"},
                                    StatusRow{201, "Created"},
                                    StatusRow{202, "Accepted"},
                                    StatusRow{203, "Non-Authoritative Information"},
                                    StatusRow{204, "No Content"},
                                    StatusRow{205, "Reset Content"},
                                    StatusRow{206, "Partial Content"},
                                    StatusRow{207, "Multi-Status"},
                                    StatusRow{300, "Multiple Choices"},
                                    StatusRow{301, "Moved Permanently"},
                                    StatusRow{302, "Found"},
                                    StatusRow{303, "See Other"},
                                    StatusRow{304, "Not Modified"},
                                    StatusRow{307, "Temporary Redirect"},
                                    StatusRow{308, "Permanent Redirect"},
                                    StatusRow{400, "Bad Request"},
                                    StatusRow{401, "Unauthorized"},
                                    StatusRow{402, "Payment Required"},
                                    StatusRow{403, "Forbidden"},
                                    StatusRow{404, "Not Found"},
                                    StatusRow{405, "Method Not Allowed"},
                                    StatusRow{406, "Not Acceptable"},
                                    StatusRow{408, "Request Timeout"},
                                    StatusRow{409, "Conflict"},
                                    StatusRow{410, "Gone"},
                                    StatusRow{411, "Length Required"},
                                    StatusRow{412, "Precondition Failed"},
                                    StatusRow{413, "Content Too Large"},
                                    StatusRow{414, "URI Too Long"},
                                    StatusRow{415, "Unsupported Media Type"},
                                    StatusRow{416, "Range Not Satisfiable"},
                                    StatusRow{417, "Expectation Failed"},
                                    StatusRow{418, "I'm a teapot"},
                                    StatusRow{421, "Misdirected Request"},
                                    StatusRow{422, "Unprocessable Content"},
                                    StatusRow{423, "Locked"},
                                    StatusRow{424, "Failed Dependency"},
                                    StatusRow{425, "Too Early"},
                                    StatusRow{426, "Upgrade Required"},
                                    StatusRow{428, "Precondition Required"},
                                    StatusRow{429, "Too Many Requests"},
                                    StatusRow{431, "Request Header Fields Too Large"},
                                    StatusRow{451, "Unavailable For Legal Reasons"},
                                    StatusRow{500, "Internal Server Error"},
                                    StatusRow{501, "Not Implemented"},
                                    StatusRow{502, "Bad Gateway"},
                                    StatusRow{503, "Service Unavailable"},
                                    StatusRow{504, "Gateway Timeout"},
                                    StatusRow{505, "HTTP Version Not Supported"},
                                    StatusRow{507, "Insufficient Storage"}};

bool IsHopByHop(std::string_view name) {
  return std::any_of(kHopByHop.begin(), kHopByHop.end(),
                     [name](std::string_view hop) { return EqualsIgnoreCase(name, hop); });
}

Error Refused(std::string_view name, std::string_view why) {
  constexpr std::size_t kShownMax = 80;
  std::string message = "response header '";
  message += name.substr(0, kShownMax);
  message += "' ";
  message += why;
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

// Why the header must not be sent; empty when it may.
std::string_view HeaderFault(const HttpHeader& header) {
  if (!IsToken(header.name))
    return "has a name that is not a token";
  if (!IsFieldValue(header.value))
    return "has a control character in its value";
  if (IsHopByHop(header.name))
    return "is hop-by-hop: the node frames responses itself";
  return {};
}

// Bytes over 127 stay as they are in valid UTF-8; else they are shown as Latin-1.
void AppendJsonString(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const bool utf8 = IsUtf8(text);
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8))
      ((out += "\\u00") += kHex[byte >> 4]) += kHex[byte & 15];
    else
      out += c;
  }
  out += '"';
}

}  // namespace

std::string_view HttpRequest::Header(std::string_view lower_case_name) const {
  for (const HttpHeader& header : headers)
    if (header.name == lower_case_name)
      return header.value;
  return {};
}

std::string_view HttpRequest::path() const {
  return target.substr(0, target.find('?'));
}

std::string_view HttpRequest::query() const {
  const std::size_t mark = target.find('?');
  return mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
}

Admission HttpHandler::Admit(const HttpRequest&) const {
  return {};
}

Result<std::optional<std::uint64_t>> CheckResponseHeaders(int status, std::string_view reason,
                                                          std::span<const HttpHeader> headers) {
  if (status < 200 || status > 599)
    return Error{ErrorCode::kInvalidArgument,
                 "response status " + std::to_string(status) + " is not in 200-599"};
  if (reason.size() > kReasonMax || !IsFieldValue(reason))
    return Error{ErrorCode::kInvalidArgument,
                 "the response's reason phrase is too long or has a control character"};
  std::optional<std::uint64_t> length;
  for (const HttpHeader& header : headers) {
    const std::string_view fault = HeaderFault(header);
    if (!fault.empty())
      return Refused(header.name, fault);
    if (!EqualsIgnoreCase(header.name, "content-length"))
      continue;
    const std::optional<std::uint64_t> number = ParseDecimal(header.value);
    if (!number.has_value())
      return Refused(header.name, "is not a number");
    if (length.has_value() && length != number)
      return Refused(header.name, "is there twice, with different values");
    length = number;
  }
  return length;
}

std::string_view ReasonPhrase(int status) {
  const auto* const row = std::lower_bound(
      kStatusRows.begin(), kStatusRows.end(), status,
      [](const StatusRow& candidate, int wanted) { return candidate.status < wanted; });
  return row != kStatusRows.end() && row->status == status ? row->phrase : "Unknown";
}

std::string ProblemJson(int status, std::string_view code, std::string_view detail,
                        std::string_view request_id) {
  std::string json = R"({"type":"docs/errors.md#)";
  json += code;
  json += R"(","title":)";
  AppendJsonString(json, ReasonPhrase(status));
  json += R"(,"status":)";
  json += std::to_string(status);
  json += R"(,"detail":)";
  AppendJsonString(json, detail);
  json += R"(,"code":)";
  AppendJsonString(json, code);
  if (!request_id.empty()) {
    json += R"(,"request_id":)";
    AppendJsonString(json, request_id);
  }
  json += "}\n";
  return json;
}

void RespondProblem(Exchange& exchange, int status, std::string_view code, std::string_view detail,
                    const HttpHeader& extra) {
  const std::string body = ProblemJson(status, code, detail, exchange.request().request_id);
  const std::array<HttpHeader, 2> headers = {
      HttpHeader{.name = "Content-Type", .value = "application/problem+json"}, extra};
  exchange.notes().problem = code;
  exchange.Respond(status, std::span(headers).first(extra.name.empty() ? 1 : 2), body);
}

void RespondProblem(Exchange& exchange, int status, std::string_view code, std::string_view detail,
                    std::optional<Seconds> retry_after) {
  if (!retry_after.has_value())
    return RespondProblem(exchange, status, code, detail, HttpHeader{});
  const std::string seconds = std::to_string(retry_after->count());
  RespondProblem(exchange, status, code, detail,
                 HttpHeader{.name = "Retry-After", .value = seconds});
}

}  // namespace cloister
