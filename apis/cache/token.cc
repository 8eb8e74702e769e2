#include "apis/cache/token.h"

#include <charconv>

#include "apis/base/sha256.h"

namespace cloister {
namespace {

// No value has a longer length; the script takes no more either.
constexpr std::size_t kDigitsMax = 8;

}  // namespace

std::string CacheTokenOf(std::string_view value) {
  return std::to_string(value.size()) + ":" + Sha1Hex(value);
}

std::optional<std::uint64_t> CacheTokenLength(std::string_view token) {
  const std::string_view digits = token.substr(0, token.find(':'));
  if (digits.empty() || digits.size() == token.size() || digits.size() > kDigitsMax)
    return std::nullopt;
  std::uint64_t length = 0;
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, length);
  if (parsed.ec != std::errc() || parsed.ptr != end)
    return std::nullopt;
  return length;
}

bool CacheTokenFits(std::string_view token, std::string_view value) {
  return CacheTokenLength(token) == value.size() && token == CacheTokenOf(value);
}

}  // namespace cloister
