#include "daemon/loop/timer.h"

#include <uv.h>

#include <utility>

#include "apis/base/check.h"

namespace cloister {

struct Timer::State {
  uv_timer_t handle = {};
  std::shared_ptr<std::function<void()>> on_tick;

  // The callback is kept alive by a copy of the pointer: it may destroy its Timer.
  static void OnTimer(uv_timer_t* handle) noexcept {
    const auto on_tick = static_cast<State*>(handle->data)->on_tick;
    (*on_tick)();
  }
  void Arm(Millis delay, Millis period) {
    uv_update_time(handle.loop);
    uv_timer_start(&handle, &OnTimer, static_cast<std::uint64_t>(delay.count()),
                   static_cast<std::uint64_t>(period.count()));
  }
};

void Timer::Closer::operator()(State* state) const {
  state->on_tick.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&state->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

Timer::Timer(Loop& loop) : state_(new State) {
  uv_timer_init(loop.uv(), &state_->handle);
  state_->handle.data = state_.get();
}

void Timer::Start(Millis delay, std::function<void()> on_tick) {
  state_->on_tick = std::make_shared<std::function<void()>>(std::move(on_tick));
  state_->Arm(delay, Millis(0));
}

void Timer::Repeat(Millis period, std::function<void()> on_tick) {
  state_->on_tick = std::make_shared<std::function<void()>>(std::move(on_tick));
  state_->Arm(period, period);
}

void Timer::Restart(Millis delay) {
  CHECK(state_->on_tick != nullptr);
  state_->Arm(delay, Millis(0));
}

void Timer::Stop() {
  uv_timer_stop(&state_->handle);
}

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&state_->handle)) != 0;
}

}  // namespace cloister
