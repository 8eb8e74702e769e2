#include "apis/quota/quota.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace cloister {

void TokenBucket::Set(double rate, double burst) {
  rate_ = rate;
  burst_ = burst;
  left_ = std::min(left_, burst);
}

double TokenBucket::Filled(MonotonicTime now) const {
  if (filled_ == MonotonicTime() || now <= filled_)
    return left_;
  const double passed = std::chrono::duration<double>(now - filled_).count();
  return std::min(burst_, left_ + passed * rate_);
}

bool TokenBucket::Take(double cost, MonotonicTime now) {
  left_ = Filled(now);
  filled_ = std::max(filled_, now);
  if (left_ < cost)
    return false;
  left_ -= cost;
  return true;
}

void TokenBucket::Give(double cost) {
  left_ = std::min(burst_, left_ + cost);
}

Seconds TokenBucket::RetryAfter(double cost) const {
  constexpr double kLongest = 3600;
  const double wait = rate_ > 0 ? (std::min(cost, burst_) - left_) / rate_ : kLongest;
  return Seconds(static_cast<std::int64_t>(std::ceil(std::clamp(wait, 1.0, kLongest))));
}

std::string CountOfRequests(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " request was" : " requests were");
}

std::string NearText(std::string_view quota, std::string_view limit, double used) {
  return "This app comes near to its quota " + std::string(quota) + ": " +
         std::to_string(static_cast<int>(used * 100)) + " % of " + std::string(limit) +
         " are used.";
}

bool QuotaNotice::IsDue(std::optional<MonotonicTime>& last, MonotonicTime now) {
  if (last && now - *last < kQuotaNoticePeriod)
    return false;
  last = now;
  return true;
}

bool QuotaNotice::Near(MonotonicTime now) {
  return IsDue(near_at_, now);
}

std::optional<std::uint64_t> QuotaNotice::Refuse(MonotonicTime now, std::uint64_t count) {
  refused_ += count;
  if (!IsDue(refused_at_, now))
    return std::nullopt;
  return refused_ - std::exchange(told_, refused_);
}

}  // namespace cloister
