#pragma once

// A one-shot or repeating timer on the loop. Destroying it cancels it: no call comes after.

#include <functional>
#include <memory>

#include "apis/base/units.h"
#include "daemon/loop/loop.h"

namespace cloister {

class Timer {
 public:
  explicit Timer(Loop& loop);

  // (Re)starts: `on_tick` runs once after `delay`, on the loop thread. It may destroy this Timer.
  void Start(Millis delay, std::function<void()> on_tick);
  // Starts again and again, every `period`.
  void Repeat(Millis period, std::function<void()> on_tick);
  // Starts again with the same callback and a new delay; Start must have been called before.
  void Restart(Millis delay);
  void Stop();
  bool active() const;

 private:
  struct State;
  struct Closer {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Closer> state_;
};

}  // namespace cloister
