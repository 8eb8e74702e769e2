#pragma once

// Rules that a single value cannot hold: forms of addresses and paths, and values that must fit
// each other. Run by ParseSettings, and again by a program that overrides a setting.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/result.h"
#include "config/settings.h"

namespace cloister {

// kInvalidArgument names the section and key: "[http] listen: ...".
Result<void> ValidateSettings(const Settings& settings);

struct SocketAddress {
  std::string host;  // a numeric IPv4 or IPv6 address, without brackets
  std::uint16_t port = 0;
};

// "127.0.0.1:8080" or "[::1]:8080". Names are refused: a node does not wait for a resolver.
Result<SocketAddress> ParseAddress(std::string_view text);

}  // namespace cloister
