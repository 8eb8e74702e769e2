#pragma once

// The quota query.statements, the same for every engine.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>

#include "apis/base/clock.h"
#include "apis/quota/quota.h"

namespace cloister {

using SteadyTime = std::chrono::steady_clock::time_point;

class StatementMeter {
 public:
  // So many a second, and at once.
  void SetRate(std::uint32_t rate) {
    rate_ = rate;
    bucket_.Set(rate, rate);
  }

  struct Beyond {
    std::uint64_t used = 0;
    std::uint32_t retry_after_ms = 0;  // 0: never
  };
  // A statement with so many sets of parameters. Nothing: it may run.
  std::optional<Beyond> Take(std::uint32_t sets, SteadyTime now) {
    constexpr std::uint32_t kSetsOfOne = 100;
    const double cost = std::max(1U, (sets + kSetsOfOne - 1) / kSetsOfOne);
    if (bucket_.Take(cost, TimeOf(now)))
      return std::nullopt;
    const auto wait = std::chrono::duration_cast<Millis>(bucket_.RetryAfter(cost));
    const bool never = cost > rate_;
    return Beyond{.used = static_cast<std::uint64_t>(std::ceil(bucket_.used_amount() + cost)),
                  .retry_after_ms = never ? 0 : static_cast<std::uint32_t>(wait.count())};
  }
  // Of those that may come at once.
  std::uint32_t UsedAt(SteadyTime now) const {
    return static_cast<std::uint32_t>(bucket_.UsedAt(TimeOf(now)));
  }

 private:
  static MonotonicTime TimeOf(SteadyTime time) {
    return std::chrono::time_point_cast<Micros>(time);
  }

  std::uint32_t rate_ = 1000;
  TokenBucket bucket_{1000, 1000};
};

}  // namespace cloister
