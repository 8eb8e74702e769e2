#pragma once

// A signal as an event of the loop. Destroying it restores nothing but stops the calls.

#include <functional>
#include <memory>

#include "daemon/loop/loop.h"

namespace cloister {

class SignalWatch {
 public:
  SignalWatch(Loop& loop, int signal, std::function<void()> on_signal);

 private:
  struct State;
  struct Closer {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Closer> state_;
};

}  // namespace cloister
