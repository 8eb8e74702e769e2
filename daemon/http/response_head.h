#pragma once

// The head of a response as the node sends it: status line, headers, framing.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "daemon/http/message.h"
#include "daemon/http/request_state.h"

namespace cloister {

struct ResponseHeadFields {
  int status = 200;
  std::string_view reason;  // empty: the usual one
  std::span<const HttpHeader> headers;
  std::optional<std::uint64_t> length;
  std::string_view date_line;
};

// Appends the head for `request` to `out` and sets framing, has_body and keep_alive of its
// progress. `keep_alive` says what the connection would like; the response's framing may forbid it.
void AppendResponseHead(const ResponseHeadFields& fields, RequestState& request, std::string& out);

void AppendNumber(std::string& out, std::uint64_t number);
// The size of a chunk, in hex, with its CRLF.
void AppendChunkSize(std::string& out, std::size_t size);

}  // namespace cloister
