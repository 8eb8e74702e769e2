#include "daemon/http/forwarded.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "daemon/http/text.h"

namespace cloister {
namespace {

constexpr std::string_view kFor = "x-forwarded-for";
constexpr std::string_view kProto = "x-forwarded-proto";
constexpr std::string_view kForwarded = "forwarded";
// In use beside X-Forwarded-*: what content delivery networks and load balancers write.
constexpr std::array<std::string_view, 7> kNames = {
    kForwarded,         "x-real-ip",      "x-client-ip",     "x-cluster-client-ip",
    "cf-connecting-ip", "true-client-ip", "fastly-client-ip"};
constexpr std::uint64_t kPortMax = 65535;
// More hops than that nobody has; beyond, the list is read from its end only so far.
constexpr std::size_t kElementsMax = 256;

// One proxy's word.
struct Element {
  std::string_view node;    // address with or without port; empty: none was given
  std::string_view scheme;  // as it was written
};

struct Node {
  IpAddress address;
  std::uint16_t port = 0;
};

std::string_view Trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// "1.2.3.4", "1.2.3.4:5", "::1", "[::1]" or "[::1]:5". Empty for all else: "unknown", "_hidden".
std::optional<Node> ParseNode(std::string_view text) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t close = std::min(text.find(']'), text.size());
    host = text.substr(1, close - 1);
    port = text.substr(std::min(close + 1, text.size()));
    if (close == text.size() || (!port.empty() && !port.starts_with(':')))
      return std::nullopt;
  } else if (std::ranges::count(text, ':') == 1) {
    host = text.substr(0, text.find(':'));
    port = text.substr(host.size());
  }
  const std::optional<IpAddress> address = IpAddress::Parse(host);
  if (!address)
    return std::nullopt;
  Node node{.address = *address};
  if (port.empty())
    return node;
  // Of a port that is none, or hidden (RFC 7239, 6.2), only the address counts.
  const std::optional<std::uint64_t> number = ParseDecimal(port.substr(1));
  if (number && *number <= kPortMax)
    node.port = static_cast<std::uint16_t>(*number);
  return node;
}

// Empty for all but the two that we know.
std::string_view SchemeOf(std::string_view text) {
  for (const std::string_view scheme : {std::string_view("http"), std::string_view("https")})
    if (EqualsIgnoreCase(text, scheme))
      return scheme;
  return {};
}

// The elements of all headers of that name, the last first.
std::vector<std::string_view> ListFromEnd(std::span<const HttpHeader> headers,
                                          std::string_view name) {
  std::vector<std::string_view> elements;
  for (std::size_t left = headers.size(); left > 0; --left) {
    if (headers[left - 1].name != name)
      continue;
    std::string_view rest = headers[left - 1].value;
    while (elements.size() < kElementsMax) {
      const std::size_t comma = rest.rfind(',');
      elements.push_back(Trimmed(rest.substr(comma == std::string_view::npos ? 0 : comma + 1)));
      if (comma == std::string_view::npos)
        break;
      rest = rest.substr(0, comma);
    }
  }
  return elements;
}

// What X-Forwarded-Proto says of the hop of each address: one word for all, or a list as long as
// that of the addresses. Of any other list the nearest proxy's word counts.
std::string_view SchemeFor(const std::vector<std::string_view>& schemes, std::size_t index,
                           std::size_t addresses) {
  if (schemes.empty())
    return {};
  return schemes.size() == addresses ? schemes[index] : schemes.front();
}

std::vector<Element> ReadXForwarded(std::span<const HttpHeader> headers) {
  const std::vector<std::string_view> addresses = ListFromEnd(headers, kFor);
  const std::vector<std::string_view> schemes = ListFromEnd(headers, kProto);
  std::vector<Element> elements;
  elements.reserve(addresses.size() + 1);
  for (std::size_t i = 0; i < addresses.size(); ++i)
    elements.push_back({.node = addresses[i], .scheme = SchemeFor(schemes, i, addresses.size())});
  if (addresses.empty() && !schemes.empty())
    elements.push_back({.node = {}, .scheme = schemes.front()});
  return elements;
}

// Reads Forwarded (RFC 7239, 4) of one header's value.
class ForwardedReader {
 public:
  explicit ForwardedReader(std::string_view text) : rest_(text) {}

  // Appends in the order of the text. False: it is malformed.
  bool Read(std::vector<Element>& elements) {
    for (;;) {
      Element element;
      if (!ReadElement(element))
        return false;
      elements.push_back(element);
      if (rest_.empty())
        return true;
      rest_.remove_prefix(1);  // ','
    }
  }

 private:
  // Up to a comma or the end: pairs with ';' between them, any of which may be missing.
  bool ReadElement(Element& element) {
    for (;;) {
      SkipBlanks();
      if (!rest_.empty() && rest_.front() != ',' && rest_.front() != ';' && !ReadPair(element))
        return false;
      SkipBlanks();
      if (rest_.empty() || rest_.front() == ',')
        return true;
      if (rest_.front() != ';')
        return false;
      rest_.remove_prefix(1);
    }
  }

  bool ReadPair(Element& element) {
    const std::string_view name = TakeToken();
    if (name.empty() || !rest_.starts_with('='))
      return false;
    rest_.remove_prefix(1);
    const std::optional<std::string_view> value = TakeValue();
    if (!value)
      return false;
    if (EqualsIgnoreCase(name, "for"))
      element.node = *value;
    else if (EqualsIgnoreCase(name, "proto"))
      element.scheme = *value;
    return true;
  }

  std::string_view TakeToken() {
    std::size_t size = 0;
    while (size < rest_.size() && IsTokenChar(rest_[size]))
      ++size;
    return Take(size);
  }

  // A token, or what is between quotes. Nothing that we read needs an escape: with one, it is not
  // an address.
  std::optional<std::string_view> TakeValue() {
    if (!rest_.starts_with('"')) {
      const std::string_view token = TakeToken();
      return token.empty() ? std::nullopt : std::optional(token);
    }
    rest_.remove_prefix(1);
    std::size_t end = 0;
    while (end < rest_.size() && rest_[end] != '"')
      end += rest_[end] == '\\' ? 2U : 1U;
    if (end >= rest_.size())
      return std::nullopt;
    const std::string_view value = Take(end);
    rest_.remove_prefix(1);
    return value;
  }

  std::string_view Take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  void SkipBlanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size())); }

  std::string_view rest_;
};

// The last first. Nothing at all when any of it is malformed: who knows where an element ends.
std::vector<Element> ReadForwardedHeaders(std::span<const HttpHeader> headers) {
  std::vector<Element> elements;
  for (const HttpHeader& header : headers)
    if (header.name == kForwarded && !ForwardedReader(header.value).Read(elements))
      return {};
  std::ranges::reverse(elements);
  return elements;
}

bool Has(std::span<const HttpHeader> headers, std::string_view name) {
  return std::ranges::find(headers, name, &HttpHeader::name) != headers.end();
}

bool IsTrusted(const IpAddress& address, std::span<const IpNetwork> trusted) {
  return std::ranges::any_of(trusted,
                             [&](const IpNetwork& network) { return network.Contains(address); });
}

}  // namespace

bool IsForwardingHeader(std::string_view name) {
  return name.starts_with("x-forwarded-") || std::ranges::find(kNames, name) != kNames.end();
}

bool IsProxyHeader(std::string_view name) {
  return name == "proxy";
}

ForwardedClient ReadForwarded(std::span<const HttpHeader> headers, const IpAddress& peer,
                              std::span<const IpNetwork> trusted) {
  const bool x_forwarded = Has(headers, kFor) || Has(headers, kProto);
  const std::vector<Element> elements =
      x_forwarded ? ReadXForwarded(headers) : ReadForwardedHeaders(headers);
  ForwardedClient client{.address = peer};
  for (const Element& element : elements) {
    // The proxy that is believed says how it was asked, whether or not it says by whom.
    client.scheme = element.scheme.empty() ? client.scheme : SchemeOf(element.scheme);
    const std::optional<Node> node = ParseNode(element.node);
    if (!node)
      break;
    client.address = node->address;
    client.port = node->port;
    if (!IsTrusted(node->address, trusted))
      break;
  }
  return client;
}

}  // namespace cloister
