#pragma once

// What proxies say of the client that they stand before: X-Forwarded-For, X-Forwarded-Proto, and
// Forwarded (RFC 7239).
//
// Only a peer that the operator trusts is believed. Each proxy adds the address that it was asked
// from at the end, so the lists are read from there: up to the first address that is no trusted
// proxy, which is the client; what stands before it is the client's own claim. What cannot be read
// ends the reading, and the last address that could be is the client's. From everybody else these
// headers are removed before anybody sees them.

#include <cstdint>
#include <span>
#include <string_view>

#include "apis/base/ip_address.h"
#include "daemon/http/message.h"

namespace cloister {

struct ForwardedClient {
  IpAddress address;             // the peer's own when nothing else is said
  std::uint16_t port = 0;        // 0: not told
  std::string_view scheme = {};  // "http" or "https"; empty: nothing was said that counts
};

// Whether a header of that (lower case) name speaks for another: Forwarded, X-Real-IP, all
// X-Forwarded-*, and what networks of proxies have of their own.
bool IsForwardingHeader(std::string_view lower_case_name);
// "Proxy" is no header of HTTP. In an app's environ it would be HTTP_PROXY, which libraries read as
// the proxy to ask by (CVE-2016-5385), so nobody's reaches an app.
bool IsProxyHeader(std::string_view lower_case_name);

// `peer` is a trusted proxy. X-Forwarded-* comes first: a proxy that writes these often passes a
// client's Forwarded on as it came. Forwarded counts when neither X-Forwarded-For nor
// X-Forwarded-Proto is there.
ForwardedClient ReadForwarded(std::span<const HttpHeader> headers, const IpAddress& peer,
                              std::span<const IpNetwork> trusted);

}  // namespace cloister
