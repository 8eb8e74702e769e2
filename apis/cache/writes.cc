#include "apis/cache/writes.h"

#include <algorithm>

namespace cloister {
namespace {

// A 64-bit number has up to 20 characters.
constexpr std::size_t kNumberMax = 20;

using Writes = std::vector<CacheWrite>;

Error Malformed(const char* what) {
  return Error{ErrorCode::kProtocol, what};
}

Result<Writes> Decode(const CacheSet& call) {
  CacheOperation operation = CacheOperation::kSet;
  switch (CacheSetMode{call.mode}) {
    case CacheSetMode::kSet:
      break;
    case CacheSetMode::kAdd:
      operation = CacheOperation::kAdd;
      break;
    case CacheSetMode::kReplace:
      operation = CacheOperation::kReplace;
      break;
    default:
      return Malformed("a mode of cache.set that there is not");
  }
  return Writes{{.operation = operation,
                 .key = call.key,
                 .value = call.value,
                 .token = {},
                 .ttl_ms = call.ttl_ms,
                 .initial = {}}};
}

Result<Writes> Decode(const CacheSetMulti& call) {
  if (call.keys.size() != call.values.size())
    return Malformed("not as many values as keys");
  Writes writes;
  for (std::size_t i = 0; i < call.keys.size(); ++i)
    writes.push_back({.operation = CacheOperation::kSet,
                      .key = call.keys[i],
                      .value = call.values[i],
                      .token = {},
                      .ttl_ms = call.ttl_ms,
                      .initial = {}});
  return writes;
}

Result<Writes> Decode(const CacheCas& call) {
  return Writes{{.operation = CacheOperation::kCas,
                 .key = call.key,
                 .value = call.value,
                 .token = call.token,
                 .ttl_ms = call.ttl_ms,
                 .initial = {}}};
}

CacheWrite DeleteOf(std::string_view key) {
  return {
      .operation = CacheOperation::kDelete, .key = key, .value = {}, .token = {}, .initial = {}};
}

Result<Writes> Decode(const CacheDelete& call) {
  return Writes{DeleteOf(call.key)};
}

Result<Writes> Decode(const CacheDeleteMulti& call) {
  Writes writes;
  for (const std::string_view key : call.keys)
    writes.push_back(DeleteOf(key));
  return writes;
}

Result<Writes> Decode(const CacheIncr& call) {
  return Writes{{.operation = CacheOperation::kIncr,
                 .key = call.key,
                 .value = {},
                 .token = {},
                 .ttl_ms = call.ttl_ms,
                 .delta = call.delta,
                 .initial = call.initial}};
}

Result<Writes> Decode(const CacheTouch& call) {
  return Writes{{.operation = CacheOperation::kTouch,
                 .key = call.key,
                 .value = {},
                 .token = {},
                 .ttl_ms = call.ttl_ms,
                 .initial = {}}};
}

template <typename Call>
Result<Writes> DecodeAs(std::string_view args) {
  const Call call = TRY(DecodeFields<Call>(args));
  Writes writes = TRY(Decode(call));
  for (CacheWrite& write : writes) {
    if (write.key.empty())
      return Malformed("an empty key");
    write.ttl_ms = std::min(write.ttl_ms, kCacheTtlMax);
  }
  return writes;
}

}  // namespace

std::string_view CacheOperationName(CacheOperation operation) {
  switch (operation) {
    case CacheOperation::kSet:
      return "set";
    case CacheOperation::kAdd:
      return "add";
    case CacheOperation::kReplace:
      return "replace";
    case CacheOperation::kCas:
      return "cas";
    case CacheOperation::kDelete:
      return "delete";
    case CacheOperation::kIncr:
      return "incr";
    case CacheOperation::kTouch:
      return "touch";
  }
  return "";
}

bool CacheWrite::Stores() const {
  return operation == CacheOperation::kSet || operation == CacheOperation::kAdd ||
         operation == CacheOperation::kReplace || operation == CacheOperation::kCas;
}

std::size_t CacheWrite::ValueSize() const {
  return operation == CacheOperation::kIncr ? kNumberMax : value.size();
}

Result<Writes> DecodeCacheWrites(CallNumber number, std::string_view args) {
  switch (number) {
    case CallNumber::kCacheSet:
      return DecodeAs<CacheSet>(args);
    case CallNumber::kCacheSetMulti:
      return DecodeAs<CacheSetMulti>(args);
    case CallNumber::kCacheCas:
      return DecodeAs<CacheCas>(args);
    case CallNumber::kCacheDelete:
      return DecodeAs<CacheDelete>(args);
    case CallNumber::kCacheDeleteMulti:
      return DecodeAs<CacheDeleteMulti>(args);
    case CallNumber::kCacheIncr:
      return DecodeAs<CacheIncr>(args);
    case CallNumber::kCacheTouch:
      return DecodeAs<CacheTouch>(args);
    default:
      return Malformed("no write of the cache");
  }
}

}  // namespace cloister
