#pragma once

// Cookies that would reach other apps.
//
// All apps of a node live under one domain: a cookie with Domain=BASE or Domain=TENANT.BASE would
// be sent to, and could be planted on, apps of others.

#include <string_view>

namespace cloister {

// Whether the value of a Set-Cookie header asks for a domain above `own_host` (lower case, without
// port).
bool IsCookieForOthers(std::string_view set_cookie, std::string_view own_host);

}  // namespace cloister
