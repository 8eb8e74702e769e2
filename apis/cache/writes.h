#pragma once

// The writes of a call, key by key: what set, add, replace, cas, delete, incr, touch and the calls
// for many keys have in common.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/calls.h"

namespace cloister {

// A longer life counts as this; entries may go at any time anyway.
inline constexpr std::uint64_t kCacheTtlMax = std::uint64_t{30} * 24 * 3600 * 1000;

enum class CacheOperation : std::uint8_t { kSet, kAdd, kReplace, kCas, kDelete, kIncr, kTouch };

// As the script calls it.
std::string_view CacheOperationName(CacheOperation operation);

struct CacheWrite {
  CacheOperation operation = CacheOperation::kSet;
  std::string_view key;
  std::string_view value;
  std::string_view token;    // of kCas
  std::uint64_t ttl_ms = 0;  // 0: none
  std::int64_t delta = 0;    // of kIncr
  std::optional<std::int64_t> initial;

  // Whether it stores bytes of the app's choice.
  bool Stores() const;
  // Bytes of the value that may be stored.
  std::size_t ValueSize() const;
};

// The writes of a call with the number of one; views into `args`. kProtocol: a malformed call.
Result<std::vector<CacheWrite>> DecodeCacheWrites(CallNumber number, std::string_view args);

}  // namespace cloister
