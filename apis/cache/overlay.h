#pragma once

// What a release that is only checked writes to the cache: kept in the node's memory, on top of the
// real entries, which stay as they are. Forgotten with the check.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "apis/base/clock.h"
#include "apis/base/units.h"
#include "apis/cache/script.h"
#include "apis/cache/writes.h"

namespace cloister {

// What became of one write.
struct CacheOutcome {
  CacheStatus status = CacheStatus::kNo;
  std::optional<std::int64_t> number;  // of an incr
};

class CacheOverlay {
 public:
  enum class Where { kBelow, kHere, kGone };
  struct Found {
    Where where = Where::kBelow;
    std::string_view value;  // of kHere; until the next change
  };

  Found Find(std::string_view key, MonotonicTime now) const;

  // `below`: what the real cache has; looked at when this layer says nothing of the key. `most`:
  // bytes of this layer; what does not fit is not stored, and the key reads as gone.
  CacheOutcome Apply(const CacheWrite& write, std::optional<std::string_view> below,
                     MonotonicTime now, Bytes most);
  // Nothing of what is below is seen any more.
  void Clear();

  Bytes used() const { return used_; }

 private:
  struct Entry {
    std::optional<std::string> value;  // none: gone
    std::optional<MonotonicTime> ends;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  CacheOutcome Incr(const CacheWrite& write, std::optional<std::string_view> current,
                    MonotonicTime now, Bytes most);
  bool Put(std::string_view key, std::optional<std::string> value, std::uint64_t ttl_ms,
           MonotonicTime now, Bytes most);

  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> entries_;
  Bytes used_;
  bool opaque_ = false;  // what is below is not seen
};

}  // namespace cloister
