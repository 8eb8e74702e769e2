// Packets of arbitrary bytes, as a query process gets them of a worker and a node of a query
// process: each is refused, or all that it says can be read.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/check.h"
#include "apis/query/packets.h"

namespace cloister {
namespace {

void CheckStatement(std::string_view bytes) {
  const Result<QueryStatement> decoded = QueryStatement::Decode(bytes);
  if (!decoded.ok())
    return;
  // Sets without a parameter take no bytes: more of them than this say nothing new.
  constexpr std::uint32_t kSetsMax = 10000;
  QueryParameters parameters(decoded.value());
  std::vector<QueryParameters::Parameter> set;
  std::size_t size = 0;
  for (std::uint32_t i = 0; i < std::min(decoded.value().sets, kSetsMax); ++i) {
    if (!parameters.Next(set))
      break;
    for (const QueryParameters::Parameter& each : set)
      size += each.name.size() + each.value.bytes.size();
  }
  CHECK(size <= bytes.size());
}

void Check(std::string_view bytes) {
  const Result<QueryPacket> packet = ParseQueryPacket(bytes);
  if (packet.ok())
    CHECK(EncodeQueryPacket(packet.value()) == bytes);
  const Result<QueryUse> use = QueryUse::Decode(bytes);
  if (use.ok())
    CHECK(use.value().Encode() == bytes);
  CheckStatement(bytes);
}

}  // namespace
}  // namespace cloister

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloister::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
