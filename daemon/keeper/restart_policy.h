#pragma once

// When a program of ours that ended is started again.
//
// At once the first time; when it keeps dying young, twice as long each time, up to a ceiling. A
// program that lived for a while starts afresh. One that gave up by itself again and again and was
// never once ready cannot run on this host: then the keeper gives up too, so that whoever started
// it sees the error. Pure: the caller owns the clock.

#include <algorithm>

#include "apis/base/units.h"

namespace cloister {

class RestartPolicy {
 public:
  static constexpr Millis kFirstDelay{100};
  static constexpr Millis kDelayMax{5000};
  // Whoever lived for so long did not die young.
  static constexpr Millis kHealthy{10000};
  // So often it may give up by itself before it was ever ready.
  static constexpr int kFailedStartsMax = 3;

  enum class End { kByItself, kKilled };

  struct Verdict {
    bool give_up = false;
    Millis delay{0};
  };

  void OnReady() { ever_ready_ = true; }

  // It ended after `lived`; kByItself: with a status other than 0.
  Verdict OnEnd(Millis lived, End end) {
    if (end == End::kByItself && !ever_ready_ && ++failed_starts_ >= kFailedStartsMax)
      return {.give_up = true};
    if (lived >= kHealthy)
      young_deaths_ = 0;
    // 100 ms shifted by 6 is beyond the ceiling.
    const Millis delay =
        young_deaths_ == 0
            ? Millis{0}
            : std::min(kDelayMax, kFirstDelay * (1 << std::min(young_deaths_ - 1, 6)));
    ++young_deaths_;
    return {.delay = delay};
  }

 private:
  bool ever_ready_ = false;
  int failed_starts_ = 0;
  int young_deaths_ = 0;
};

}  // namespace cloister
