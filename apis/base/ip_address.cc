#include "apis/base/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace cloister {
namespace {

constexpr std::uint32_t kBits = 128;
// Of ::ffff:0:0/96, in front of an IPv4 address.
constexpr std::uint32_t kMappedBits = 96;
constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t kShownMax = 80;

Error Wrong(std::string_view text, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument,
               "'" + std::string(text.substr(0, kShownMax)) + "' " + std::string(why)};
}

// The mask of byte `index` for a prefix of `bits`.
std::uint8_t MaskOf(std::uint32_t bits, std::size_t index) {
  const std::uint32_t before = static_cast<std::uint32_t>(index) * 8;
  const std::uint32_t here = bits <= before ? 0 : std::min<std::uint32_t>(bits - before, 8);
  return static_cast<std::uint8_t>(0xff00U >> here);
}

std::optional<std::uint32_t> ParseLength(std::string_view text) {
  std::uint32_t length = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, length);
  if (text.empty() || text.size() > 3 || parsed.ec != std::errc() || parsed.ptr != end)
    return std::nullopt;
  return length;
}

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN)
    return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> terminated = {};
  std::copy(text.begin(), text.end(), terminated.begin());
  if (std::memchr(terminated.data(), '\0', terminated.size()) != terminated.data() + text.size())
    return std::nullopt;
  IpAddress address;
  if (::inet_pton(AF_INET, terminated.data(), address.bytes_.data() + kMapped.size()) == 1) {
    std::copy(kMapped.begin(), kMapped.end(), address.bytes_.begin());
    return address;
  }
  if (::inet_pton(AF_INET6, terminated.data(), address.bytes_.data()) == 1)
    return address;
  return std::nullopt;
}

bool IpAddress::IsV4() const {
  return std::equal(kMapped.begin(), kMapped.end(), bytes_.begin());
}

std::string IpAddress::Text() const {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (IsV4())
    (void)::inet_ntop(AF_INET, bytes_.data() + kMapped.size(), text.data(), text.size());
  else
    (void)::inet_ntop(AF_INET6, bytes_.data(), text.data(), text.size());
  return text.data();
}

bool IpAddress::HasPrefix(const IpAddress& other, std::uint32_t bits) const {
  for (std::size_t i = 0; i < bytes_.size(); ++i)
    if (((bytes_[i] ^ other.bytes_[i]) & MaskOf(bits, i)) != 0)
      return false;
  return true;
}

bool IpAddress::IsZeroAfter(std::uint32_t bits) const {
  for (std::size_t i = 0; i < bytes_.size(); ++i)
    if ((bytes_[i] & ~MaskOf(bits, i)) != 0)
      return false;
  return true;
}

Result<IpNetwork> IpNetwork::Parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::optional<IpAddress> address = IpAddress::Parse(text.substr(0, slash));
  if (!address)
    return Wrong(text,
                 "is not an address or a network, such as \"127.0.0.1\", \"10.0.0.0/8\" or "
                 "\"fd00::/8\"");
  IpNetwork network;
  network.address_ = *address;
  network.bits_ = kBits;
  if (slash == std::string_view::npos)
    return network;
  const std::uint32_t before = address->IsV4() ? kMappedBits : 0;
  const std::optional<std::uint32_t> length = ParseLength(text.substr(slash + 1));
  if (!length || *length > kBits - before)
    return Wrong(text, "must end in a prefix length from 0 to " + std::to_string(kBits - before));
  network.bits_ = before + *length;
  if (!address->IsZeroAfter(network.bits_))
    return Wrong(text,
                 "has bits set behind its prefix: write the first address of the network, or the "
                 "address alone");
  return network;
}

bool IpNetwork::Contains(const IpAddress& address) const {
  return address.IsV4() == address_.IsV4() && address.HasPrefix(address_, bits_);
}

std::string IpNetwork::Text() const {
  if (bits_ == kBits)
    return address_.Text();
  return address_.Text() + "/" + std::to_string(address_.IsV4() ? bits_ - kMappedBits : bits_);
}

}  // namespace cloister
