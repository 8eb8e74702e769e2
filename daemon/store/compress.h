#pragma once

// Contents and bytecode as they lie in the state database: zstd frames.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/result.h"

namespace cloister {

// Nothing is larger: a compiled module has 64 MiB at most, a content 32.
inline constexpr std::uint64_t kDecompressedMax = std::uint64_t{64} << 20;

std::string Compress(std::string_view bytes);

// kSystem when `frame` is damaged, does not hold exactly `size` bytes, or `size` is beyond the
// largest; nothing is allocated beyond that.
Result<std::string> Decompress(std::string_view frame, std::uint64_t size);

// The size that a frame made by Compress() announces; kSystem when it announces none.
Result<std::uint64_t> DecompressedSize(std::string_view frame);

}  // namespace cloister
