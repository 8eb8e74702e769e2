#include "daemon/workers/cookie_scope.h"

#include <algorithm>

#include "daemon/http/text.h"

namespace cloister {
namespace {

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos)
    return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// `domain` with dots around it, as browsers read it.
std::string_view TrimDots(std::string_view domain) {
  while (domain.starts_with('.'))
    domain.remove_prefix(1);
  while (domain.ends_with('.'))
    domain.remove_suffix(1);
  return domain;
}

bool IsAbove(std::string_view domain, std::string_view own_host) {
  if (domain.empty() || domain.size() >= own_host.size())
    return false;
  const std::size_t at = own_host.size() - domain.size();
  return own_host[at - 1] == '.' && EqualsIgnoreCase(domain, own_host.substr(at));
}

}  // namespace

bool IsCookieForOthers(std::string_view set_cookie, std::string_view own_host) {
  // The first part is the cookie itself, the others are attributes.
  std::size_t end = set_cookie.find(';');
  while (end != std::string_view::npos) {
    set_cookie.remove_prefix(end + 1);
    end = set_cookie.find(';');
    const std::string_view attribute = set_cookie.substr(0, end);
    const std::size_t equals = attribute.find('=');
    if (equals == std::string_view::npos ||
        !EqualsIgnoreCase(Trim(attribute.substr(0, equals)), "domain"))
      continue;
    if (IsAbove(TrimDots(Trim(attribute.substr(equals + 1))), own_host))
      return true;
  }
  return false;
}

}  // namespace cloister
