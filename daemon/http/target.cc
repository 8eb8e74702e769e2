#include "daemon/http/target.h"

#include <algorithm>
#include <cstdint>

#include "daemon/http/text.h"

namespace cloister {
namespace {

constexpr std::size_t kHostMax = 255;
constexpr std::uint64_t kPortMax = 65535;

constexpr HttpRefusal BadTarget(std::string_view detail) {
  return {.status = 400, .code = "bad_target", .detail = detail};
}

constexpr HttpRefusal kBadForm =
    BadTarget("The form of the target does not suit the request's method.");
constexpr HttpRefusal kBadScheme = BadTarget("The target's scheme is neither http nor https.");
constexpr HttpRefusal kUserInformation = BadTarget("The target holds user information.");
constexpr HttpRefusal kFragment = BadTarget("The target holds a fragment.");
constexpr HttpRefusal kBadEscape =
    BadTarget("The target's path holds a malformed escape or an escaped NUL.");

bool AreEscapesWhole(std::string_view path) {
  for (std::size_t i = path.find('%'); i != std::string_view::npos; i = path.find('%', i + 1)) {
    if (i + 2 >= path.size() || !IsHexDigit(path[i + 1]) || !IsHexDigit(path[i + 2]))
      return false;
    if (path[i + 1] == '0' && path[i + 2] == '0')
      return false;
  }
  return true;
}

std::optional<HttpRefusal> CheckOriginForm(std::string_view target) {
  if (target.find('#') != std::string_view::npos)
    return kFragment;
  if (!AreEscapesWhole(target.substr(0, target.find('?'))))
    return kBadEscape;
  return std::nullopt;
}

// The length of "http://" or "https://" in front of `raw`; 0: something else.
std::size_t SchemeSize(std::string_view raw) {
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")})
    if (EqualsIgnoreCase(raw.substr(0, scheme.size()), scheme))
      return scheme.size();
  return 0;
}

bool IsNameChar(char c) {
  return IsDigit(c) || (ToLower(c) >= 'a' && ToLower(c) <= 'z') || c == '-' || c == '.' || c == '_';
}

bool IsIpv6Char(char c) {
  return IsHexDigit(c) || c == ':' || c == '.';
}

bool IsPort(std::string_view port) {
  const auto number = ParseDecimal(port);
  return port.empty() || (port.size() <= 5 && number.has_value() && *number <= kPortMax);
}

// The size of the host in front of `value`; empty when it is none.
std::optional<std::size_t> HostSize(std::string_view value) {
  if (value.starts_with('[')) {
    const std::size_t close = value.find(']');
    if (close == std::string_view::npos || close < 3 ||
        !std::all_of(value.begin() + 1, value.begin() + static_cast<std::ptrdiff_t>(close),
                     IsIpv6Char))
      return std::nullopt;
    return close + 1;
  }
  const std::size_t size = std::min(value.find(':'), value.size());
  if (!std::all_of(value.begin(), value.begin() + static_cast<std::ptrdiff_t>(size), IsNameChar))
    return std::nullopt;
  return size;
}

}  // namespace

std::optional<HttpRefusal> ParseTarget(std::string_view method, std::string_view raw,
                                       RequestTarget& out) {
  if (raw == "*") {
    out.target = raw;
    return method == "OPTIONS" ? std::nullopt : std::optional(kBadForm);
  }
  if (raw.starts_with('/')) {
    out.target = raw;
    return CheckOriginForm(raw);
  }
  const std::size_t scheme_size = SchemeSize(raw);
  if (scheme_size == 0)
    return raw.find("://") == std::string_view::npos ? kBadForm : kBadScheme;
  const std::string_view rest = raw.substr(scheme_size);
  const std::size_t authority_size = std::min(rest.find_first_of("/?#"), rest.size());
  out.authority = rest.substr(0, authority_size);
  out.target = rest.substr(authority_size);
  if (out.authority.find('@') != std::string_view::npos)
    return kUserInformation;
  if (out.authority.empty())
    return kBadForm;
  return CheckOriginForm(out.target);
}

std::optional<HostAndPort> ParseHost(std::string_view value) {
  const std::optional<std::size_t> size = HostSize(value);
  if (!size.has_value() || *size > kHostMax)
    return std::nullopt;
  HostAndPort parsed{.host = value.substr(0, *size), .port = {}};
  const std::string_view rest = value.substr(*size);
  if (!rest.empty()) {
    if (rest.front() != ':' || !IsPort(rest.substr(1)) || *size == 0)
      return std::nullopt;
    parsed.port = rest.substr(1);
  }
  if (parsed.host.ends_with('.'))
    parsed.host.remove_suffix(1);
  return parsed;
}

}  // namespace cloister
