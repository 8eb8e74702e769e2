#pragma once

// Runs a loop until a condition holds: what tests do instead of sleeping.

#include <functional>

#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"

namespace cloister {

// Whether `condition` held before `limit` was over; it is looked at every millisecond.
inline bool RunUntil(Loop& loop, const std::function<bool()>& condition,
                     Millis limit = Seconds(20)) {
  if (condition())
    return true;
  bool held = false;
  Timer look(loop);
  Timer deadline(loop);
  look.Repeat(Millis(1), [&] {
    held = condition();
    if (held)
      loop.Stop();
  });
  deadline.Start(limit, [&] { loop.Stop(); });
  loop.Run();
  return held || condition();
}

// Runs the loop for as long as a thing that must not happen is given to happen.
inline void RunFor(Loop& loop, Millis duration) {
  RunUntil(loop, [] { return false; }, duration);
}

}  // namespace cloister
