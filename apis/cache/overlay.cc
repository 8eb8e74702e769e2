#include "apis/cache/overlay.h"

#include <charconv>
#include <utility>

#include "apis/cache/token.h"

namespace cloister {
namespace {

// Of an entry beside its key and value.
constexpr std::size_t kEntryCost = 128;

std::optional<std::int64_t> NumberOf(std::string_view text) {
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  // As Redis has it: one way to write each number.
  if (parsed.ec != std::errc() || std::to_string(number) != text)
    return std::nullopt;
  return number;
}

}  // namespace

CacheOverlay::Found CacheOverlay::Find(std::string_view key, MonotonicTime now) const {
  const auto found = entries_.find(key);
  if (found == entries_.end())
    return {.where = opaque_ ? Where::kGone : Where::kBelow, .value = {}};
  const Entry& entry = found->second;
  if (!entry.value || (entry.ends && *entry.ends <= now))
    return {.where = Where::kGone, .value = {}};
  return {.where = Where::kHere, .value = *entry.value};
}

CacheOutcome CacheOverlay::Apply(const CacheWrite& write, std::optional<std::string_view> below,
                                 MonotonicTime now, Bytes most) {
  const Found found = Find(write.key, now);
  std::optional<std::string> current;
  if (found.where == Where::kHere)
    current = found.value;
  else if (found.where == Where::kBelow && below)
    current = *below;
  const auto put = [&](std::string_view value) -> CacheOutcome {
    const bool stored = Put(write.key, std::string(value), write.ttl_ms, now, most);
    return {.status = stored ? CacheStatus::kYes : CacheStatus::kNoMemory, .number = {}};
  };
  switch (write.operation) {
    case CacheOperation::kSet:
      return put(write.value);
    case CacheOperation::kAdd:
      return current ? CacheOutcome{} : put(write.value);
    case CacheOperation::kReplace:
      return current ? put(write.value) : CacheOutcome{};
    case CacheOperation::kCas:
      if (!current)
        return {.status = CacheStatus::kMissing, .number = {}};
      if (!CacheTokenFits(write.token, *current))
        return {.status = CacheStatus::kChanged, .number = {}};
      return put(write.value);
    case CacheOperation::kDelete:
      Put(write.key, std::nullopt, 0, now, most);
      return {.status = current ? CacheStatus::kYes : CacheStatus::kNo, .number = {}};
    case CacheOperation::kIncr:
      return Incr(write, current, now, most);
    case CacheOperation::kTouch:
      return current ? put(*current) : CacheOutcome{};
  }
  return {};
}

CacheOutcome CacheOverlay::Incr(const CacheWrite& write, std::optional<std::string_view> current,
                                MonotonicTime now, Bytes most) {
  std::int64_t sum = write.initial.value_or(0);
  if (current) {
    const std::optional<std::int64_t> before = NumberOf(*current);
    if (!before || __builtin_add_overflow(*before, write.delta, &sum))
      return {};
  } else if (!write.initial) {
    return {};
  }
  const auto found = entries_.find(write.key);
  const bool keeps_end = current && found != entries_.end() && found->second.ends;
  const std::optional<MonotonicTime> end = keeps_end ? found->second.ends : std::nullopt;
  if (!Put(write.key, std::to_string(sum), current ? 0 : write.ttl_ms, now, most))
    return {};
  if (end)
    entries_.find(write.key)->second.ends = end;
  return {.status = CacheStatus::kYes, .number = sum};
}

bool CacheOverlay::Put(std::string_view key, std::optional<std::string> value, std::uint64_t ttl_ms,
                       MonotonicTime now, Bytes most) {
  if (const auto found = entries_.find(key); found != entries_.end()) {
    const std::optional<std::string>& old = found->second.value;
    used_.count -= kEntryCost + key.size() + (old ? old->size() : 0);
    entries_.erase(found);
  }
  const std::size_t bare = kEntryCost + key.size();
  const bool fits = used_.count + bare + (value ? value->size() : 0) <= most.count;
  if (!fits)
    value.reset();
  // Not even room to remember that it is gone: then everything is.
  if (used_.count + bare > most.count) {
    Clear();
    return false;
  }
  used_.count += bare + (value ? value->size() : 0);
  Entry entry{.value = std::move(value), .ends = {}};
  if (ttl_ms != 0)
    entry.ends = now + Millis(static_cast<std::int64_t>(ttl_ms));
  entries_.emplace(key, std::move(entry));
  return fits;
}

void CacheOverlay::Clear() {
  entries_.clear();
  used_ = {};
  opaque_ = true;
}

}  // namespace cloister
