#pragma once

// The target of a request and the host that it is for: what may stand there (RFC 9112, 3.2).

#include <optional>
#include <string_view>

#include "daemon/http/refusal.h"

namespace cloister {

struct RequestTarget {
  // Origin form ("/path?query"), or "*". Empty when an absolute form has no path.
  std::string_view target;
  // Of an absolute form; empty otherwise.
  std::string_view authority;
};

// Takes `raw` apart. 400 for a form that does not suit the method, a scheme that is not http(s),
// user information, a fragment, a malformed or NUL escape in the path.
std::optional<HttpRefusal> ParseTarget(std::string_view method, std::string_view raw,
                                       RequestTarget& out);

struct HostAndPort {
  std::string_view host;  // without port and final dot, letters as they are
  std::string_view port;
};

// Empty when `value` is not HOST[:PORT]. HOST may be empty.
std::optional<HostAndPort> ParseHost(std::string_view value);

}  // namespace cloister
