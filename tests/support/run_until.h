#pragma once

// Runs a loop until something is so; false when it is not so after half a minute.

#include <utility>

#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"

namespace cloister {

template <typename Condition>
bool RunUntil(Loop& loop, Condition is_so) {
  constexpr Millis kLook{1};
  constexpr Millis kPatience{30000};
  Timer look(loop);
  Timer patience(loop);
  look.Repeat(kLook, [&] {
    if (is_so())
      loop.Stop();
  });
  patience.Start(kPatience, [&] { loop.Stop(); });
  loop.Run();
  return is_so();
}

}  // namespace cloister
