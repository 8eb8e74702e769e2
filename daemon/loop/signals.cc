#include "daemon/loop/signals.h"

#include <uv.h>

#include <utility>

#include "apis/base/check.h"

namespace cloister {

struct SignalWatch::State {
  uv_signal_t handle = {};
  std::function<void()> on_signal;
};

void SignalWatch::Closer::operator()(State* state) const {
  uv_close(reinterpret_cast<uv_handle_t*>(&state->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

SignalWatch::SignalWatch(Loop& loop, int signal, std::function<void()> on_signal)
    : state_(new State) {
  state_->on_signal = std::move(on_signal);
  CHECK(uv_signal_init(loop.uv(), &state_->handle) == 0);
  state_->handle.data = state_.get();
  const auto on_uv_signal = [](uv_signal_t* handle, int) noexcept {
    static_cast<State*>(handle->data)->on_signal();
  };
  CHECK(uv_signal_start(&state_->handle, on_uv_signal, signal) == 0);
}

}  // namespace cloister
