#pragma once

// IP addresses and networks of them, as values.
//
// An IPv4 address is kept as the IPv6 address ::ffff:a.b.c.d that a dual-stack listener shows it
// as, so that both spellings of one peer are equal. Texts are numeric: nothing is resolved.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/result.h"

namespace cloister {

class IpAddress {
 public:
  // ::, the unspecified address.
  IpAddress() = default;
  // Empty when `text` is not one address alone: no port, no brackets, no zone.
  static std::optional<IpAddress> Parse(std::string_view text);

  bool IsV4() const;
  std::string Text() const;
  // Whether the first `bits` of both are the same; of 128.
  bool HasPrefix(const IpAddress& other, std::uint32_t bits) const;
  // Whether all after the first `bits` are zero.
  bool IsZeroAfter(std::uint32_t bits) const;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_ = {};
};

class IpNetwork {
 public:
  // "10.0.0.0/8", "fd00::/8", or one address alone. kInvalidArgument: why `text` is none; bits of
  // the address behind the prefix are refused, since one of the two is a slip then.
  static Result<IpNetwork> Parse(std::string_view text);

  // An IPv4 address is in no IPv6 network, whatever its prefix, nor the other way round.
  bool Contains(const IpAddress& address) const;
  // As Parse reads it: without a prefix length when it is one address.
  std::string Text() const;

  friend bool operator==(const IpNetwork&, const IpNetwork&) = default;

 private:
  IpAddress address_;
  std::uint32_t bits_ = 0;  // of 128
};

}  // namespace cloister
