#pragma once

// The two clocks, behind an interface so that tests decide what time it is.
//
// All limits use the monotonic clock; the wall clock is only ever shown to people.

#include <chrono>

#include "apis/base/units.h"

namespace cloister {

// Time since an arbitrary point; never goes back.
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Micros>;
// Time since 1970-01-01 UTC.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Micros>;

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;
  virtual MonotonicTime Now() const = 0;
  virtual WallTime Wall() const = 0;
};

class SystemClock : public Clock {
 public:
  MonotonicTime Now() const override {
    return std::chrono::time_point_cast<Micros>(std::chrono::steady_clock::now());
  }
  WallTime Wall() const override {
    return std::chrono::time_point_cast<Micros>(std::chrono::system_clock::now());
  }
};

}  // namespace cloister
