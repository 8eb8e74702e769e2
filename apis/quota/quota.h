#pragma once

// What every quota is metered with: a bucket for a rate, a notice for the words about it.
//
// Each belongs to one app and one quota and is used by one thread. None looks at a clock: whoever
// asks says what time it is, so that a check costs nanoseconds (tests/bench/quota.cc).

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/clock.h"
#include "apis/base/units.h"

namespace cloister {

// So much a second, and up to `burst` at once. Full at first, and after a restart.
class TokenBucket {
 public:
  TokenBucket(double rate, double burst) : rate_(rate), burst_(burst), left_(burst) {}

  // What is in it stays, up to the new burst.
  void Set(double rate, double burst);

  // Takes `cost` when so much is there, else nothing. A time before the last one is taken as that.
  bool Take(double cost, MonotonicTime now);

  // Whether Take would take it.
  bool Has(double cost, MonotonicTime now) const { return Filled(now) >= cost; }

  // What was taken and not used after all.
  void Give(double cost);

  // What was used and is known only now: there may be less than nothing in it for a while.
  void Owe(double cost) { left_ -= cost; }

  // Whether it holds all that it can: it is as good as a new one.
  bool IsFull(MonotonicTime now) const { return Filled(now) >= burst_; }

  // When `cost` may be there, in whole seconds, at least one: for Retry-After.
  Seconds RetryAfter(double cost) const;

  // Which part of the burst is used up, 0 to 1, as of the last Take.
  double used() const { return burst_ > 0 ? std::min(1 - left_ / burst_, 1.0) : 1; }
  // The same as a number of what is counted; more than the burst while something is owed.
  double used_amount() const { return burst_ - left_; }
  // The same as of now.
  double UsedAt(MonotonicTime now) const { return burst_ - Filled(now); }

 private:
  // What is in it by then.
  double Filled(MonotonicTime now) const;

  double rate_;
  double burst_;
  double left_;
  MonotonicTime filled_;  // none: not used yet
};

// From here on an app is told that it comes near to a quota.
inline constexpr double kQuotaNear = 0.8;
// How often it is told the same.
inline constexpr Millis kQuotaNoticePeriod{60000};

// "1 request was", "7 requests were".
std::string CountOfRequests(std::uint64_t count);
// "This app comes near to its quota cache.calls: 83 % of 5000 a second are used." `used`: 0 to 1.
std::string NearText(std::string_view quota, std::string_view limit, double used);

// When an app's log should say something about a quota: that it is near, or that something was
// refused, each at most once in kQuotaNoticePeriod.
class QuotaNotice {
 public:
  // Call when use is at kQuotaNear or above: whether to say so now.
  bool Near(MonotonicTime now);

  // Call for everything that is refused, or for `count` of it at once: how many there were since it
  // was last said, when it is time to say so again.
  std::optional<std::uint64_t> Refuse(MonotonicTime now, std::uint64_t count = 1);

  // Since the start of the node process.
  std::uint64_t refused() const { return refused_; }

 private:
  static bool IsDue(std::optional<MonotonicTime>& last, MonotonicTime now);

  std::uint64_t refused_ = 0;
  std::uint64_t told_ = 0;  // of these
  std::optional<MonotonicTime> near_at_;
  std::optional<MonotonicTime> refused_at_;
};

}  // namespace cloister
