#include "daemon/loop/fd_watch.h"

#include <uv.h>

#include "apis/base/check.h"

namespace cloister {

struct FdWatch::State {
  uv_poll_t handle = {};
  Handler* handler = nullptr;  // null once closed
  int events = 0;

  static void OnPoll(uv_poll_t* handle, int status, int events) noexcept {
    auto* const state = static_cast<State*>(handle->data);
    // libuv shows an error once and stops the watch. Both sides are told: the read or the write
    // that follows gets it. Whoever watches on afterwards has to be watched again.
    if (status < 0)
      events = UV_READABLE | UV_WRITABLE;
    if ((events & UV_READABLE) != 0 && state->handler != nullptr)
      state->handler->OnReadable();
    if ((events & UV_WRITABLE) != 0 && state->handler != nullptr)
      state->handler->OnWritable();
    if (status < 0 && state->handler != nullptr && state->events != 0)
      uv_poll_start(&state->handle, state->events, &State::OnPoll);
  }
};

void FdWatch::Closer::operator()(State* state) const {
  state->handler = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&state->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

FdWatch::FdWatch(Loop& loop, int fd, Handler& handler) : state_(new State) {
  CHECK(uv_poll_init(loop.uv(), &state_->handle, fd) == 0);
  state_->handle.data = state_.get();
  state_->handler = &handler;
}

void FdWatch::Watch(bool readable, bool writable) {
  const int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  if (events == state_->events)
    return;
  state_->events = events;
  if (events == 0)
    uv_poll_stop(&state_->handle);
  else
    uv_poll_start(&state_->handle, events, &State::OnPoll);
}

}  // namespace cloister
