// Calls of the cache as a hostile worker sends them: what is taken is a list of writes with keys,
// and applied to a layer of its own it stays within its bytes.

#include <cstdint>
#include <string_view>

#include "apis/base/check.h"
#include "apis/cache/overlay.h"
#include "apis/cache/writes.h"

namespace cloister {
namespace {

void ApplyCall(const std::uint8_t* data, std::size_t size) {
  if (size < 2)
    return;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const CallNumber number{static_cast<std::uint16_t>(0x0100 | data[0])};
  const auto writes = DecodeCacheWrites(number, bytes.substr(2));
  if (!writes.ok())
    return;
  CHECK(writes.value().size() <= kCallListMax);
  CacheOverlay layer;
  const Bytes most{std::uint64_t{data[1]} * 64};
  MonotonicTime now{Seconds(1)};
  for (const CacheWrite& write : writes.value()) {
    CHECK(!write.key.empty());
    CHECK(write.ttl_ms <= kCacheTtlMax);
    const CacheOutcome outcome = layer.Apply(write, bytes.substr(0, 2), now, most);
    CHECK(layer.used() <= most);
    const CacheOverlay::Found found = layer.Find(write.key, now);
    if (write.operation == CacheOperation::kDelete)
      CHECK(found.where == CacheOverlay::Where::kGone);
    if (write.Stores() && outcome.status == CacheStatus::kYes)
      CHECK(found.where == CacheOverlay::Where::kHere && found.value == write.value);
    now += Millis(1);
  }
}

}  // namespace
}  // namespace cloister

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloister::ApplyCall(data, size);
  return 0;
}
