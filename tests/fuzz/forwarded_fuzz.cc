// Headers of proxies as arbitrary bytes, a header a line ("name value"): the client is the peer or
// an address that one of them names, and the scheme one that we know.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/check.h"
#include "daemon/http/forwarded.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<cloister::HttpHeader> headers;
  while (!text.empty() && headers.size() < cloister::kHeadersMax) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::size_t space = std::min(line.find(' '), line.size());
    headers.push_back(
        {.name = line.substr(0, space), .value = line.substr(std::min(space + 1, line.size()))});
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  const cloister::IpAddress peer = cloister::IpAddress::Parse("10.0.0.1").value();
  const std::array trusted = {cloister::IpNetwork::Parse("10.0.0.0/8").value(),
                              cloister::IpNetwork::Parse("fd00::/8").value()};
  const cloister::ForwardedClient client = cloister::ReadForwarded(headers, peer, trusted);
  CHECK(client.scheme.empty() || client.scheme == "http" || client.scheme == "https");
  CHECK(cloister::IpAddress::Parse(client.address.Text()) == client.address);
  CHECK(client.address == peer || !headers.empty());
  return 0;
}
