#include "daemon/http/response_head.h"

#include <array>
#include <charconv>

#include "daemon/http/text.h"

namespace cloister {
namespace {

// Headers that the node writes itself.
bool IsNodes(std::string_view name) {
  switch (name.size()) {
    case 4:
      return EqualsIgnoreCase(name, "date");
    case 10:
      return EqualsIgnoreCase(name, "connection") || EqualsIgnoreCase(name, "keep-alive");
    case 12:
      return EqualsIgnoreCase(name, "x-request-id");
    case 14:
      return EqualsIgnoreCase(name, "content-length");
    case 17:
      return EqualsIgnoreCase(name, "transfer-encoding");
    default:
      return false;
  }
}

void AppendStatusLine(int status, std::string_view reason, std::string& out) {
  if (status == 200 && reason.empty()) {
    out += "HTTP/1.1 200 OK\r\n";
    return;
  }
  out += "HTTP/1.1 ";
  AppendNumber(out, static_cast<std::uint64_t>(status));
  out += ' ';
  out += reason.empty() ? ReasonPhrase(status) : reason;
  out += "\r\n";
}

void AppendLength(std::uint64_t length, std::string& out) {
  out += "Content-Length: ";
  AppendNumber(out, length);
  out += "\r\n";
}

// How the body is delimited (RFC 9112, 6.3), and the header that says so.
void AppendFraming(const ResponseHeadFields& fields, RequestState& request, std::string& out) {
  ResponseProgress& response = request.response;
  response.framing = ResponseFraming::kLength;
  response.length = fields.length.value_or(0);
  if (fields.status == 204)
    return;
  if (fields.status == 205) {
    AppendLength(0, out);
  } else if (fields.length.has_value()) {
    AppendLength(*fields.length, out);
  } else if (response.has_body && request.request.minor_version > 0) {
    response.framing = ResponseFraming::kChunked;
    out += "Transfer-Encoding: chunked\r\n";
  } else if (response.has_body) {
    response.framing = ResponseFraming::kUntilClose;
    response.keep_alive = false;
  }
}

}  // namespace

void AppendNumber(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits = {};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), static_cast<std::size_t>(end.ptr - digits.data()));
}

void AppendChunkSize(std::string& out, std::size_t size) {
  constexpr int kHex = 16;
  std::array<char, 16> digits = {};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), size, kHex);
  out.append(digits.data(), static_cast<std::size_t>(end.ptr - digits.data()));
  out += "\r\n";
}

void AppendResponseHead(const ResponseHeadFields& fields, RequestState& request, std::string& out) {
  ResponseProgress& response = request.response;
  response.status = fields.status;
  response.has_body = fields.status != 204 && fields.status != 205 && fields.status != 304 &&
                      request.request.method != "HEAD";
  AppendStatusLine(fields.status, fields.reason, out);
  out += fields.date_line;
  for (const HttpHeader& header : fields.headers) {
    if (IsNodes(header.name))
      continue;
    out += header.name;
    out += ": ";
    out += header.value;
    out += "\r\n";
  }
  AppendFraming(fields, request, out);
  out += "X-Request-Id: ";
  out.append(request.id.data(), request.id.size());
  if (!response.keep_alive)
    out += "\r\nConnection: close\r\n\r\n";
  else if (request.request.minor_version == 0)
    out += "\r\nConnection: keep-alive\r\n\r\n";
  else
    out += "\r\n\r\n";
}

}  // namespace cloister
