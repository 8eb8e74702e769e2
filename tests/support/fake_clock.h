#pragma once

// A clock that stands still until a test moves it.

#include "apis/base/clock.h"

namespace cloister {

class FakeClock : public Clock {
 public:
  MonotonicTime Now() const override { return now_; }
  WallTime Wall() const override { return WallTime(now_.time_since_epoch()) + wall_ahead_; }
  void Advance(Micros by) { now_ += by; }
  // What an operator or NTP does to the wall clock.
  void JumpWall(Micros by) { wall_ahead_ += by; }

 private:
  MonotonicTime now_{Seconds(1000)};
  Micros wall_ahead_{0};
};

}  // namespace cloister
