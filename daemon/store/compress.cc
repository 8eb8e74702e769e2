#include "daemon/store/compress.h"

#include <zstd.h>

#include "apis/base/check.h"

namespace cloister {
namespace {

// Above the speed of an upload on one core, and half the size for source text.
constexpr int kLevel = 3;

}  // namespace

std::string Compress(std::string_view bytes) {
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size =
      ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), kLevel);
  CHECK(ZSTD_isError(size) == 0);
  frame.resize(size);
  return frame;
}

Result<std::string> Decompress(std::string_view frame, std::uint64_t size) {
  if (size > kDecompressedMax)
    return Error{ErrorCode::kSystem, "damaged: a size of " + std::to_string(size) + " bytes"};
  std::string bytes(size, '\0');
  const std::size_t got = ZSTD_decompress(bytes.data(), bytes.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0)
    return Error{ErrorCode::kSystem, std::string("damaged: ") + ZSTD_getErrorName(got)};
  if (got != size)
    return Error{ErrorCode::kSystem,
                 "damaged: " + std::to_string(got) + " bytes instead of " + std::to_string(size)};
  return bytes;
}

Result<std::uint64_t> DecompressedSize(std::string_view frame) {
  const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
    return Error{ErrorCode::kSystem, "damaged: no size in the frame"};
  return std::uint64_t{size};
}

}  // namespace cloister
