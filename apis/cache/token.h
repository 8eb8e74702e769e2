#pragma once

// What stands for a value between gets and cas: LENGTH:HASH, its length in decimal and its SHA-1 in
// hexadecimal.
//
// The length comes first so that a value of another length is known to be another one without being
// hashed. A token comes back from the app, as whatever it likes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cloister {

std::string CacheTokenOf(std::string_view value);

// The length that it tells; nothing: it stands for no value.
std::optional<std::uint64_t> CacheTokenLength(std::string_view token);

// Whether it stands for that value.
bool CacheTokenFits(std::string_view token, std::string_view value);

}  // namespace cloister
