// A batch of contents as arbitrary bytes: refused, or contents with the hashes that they came with.

#include <cstdint>
#include <string_view>

#include "apis/base/check.h"
#include "daemon/releases/uploads.h"
#include "daemon/store/contents.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view batch(reinterpret_cast<const char*>(data), size);
  const auto contents = cloister::DecodeBatch(batch);
  if (!contents.ok()) {
    CHECK(!contents.error().detail.empty());
    return 0;
  }
  std::size_t bytes = 0;
  for (const cloister::VerifiedContent& content : contents.value()) {
    bytes += 32 + 8 + content.size;
    CHECK(
        cloister::OpenContent(content.compressed, {.sha256 = content.sha256, .size = content.size})
            .ok());
  }
  CHECK(bytes == size);
  return 0;
}
