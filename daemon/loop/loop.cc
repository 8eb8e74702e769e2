#include "daemon/loop/loop.h"

#include <uv.h>

#include <utility>

#include "apis/base/check.h"

namespace cloister {
namespace {

// Spare buffers together take at most 16 MiB.
constexpr std::size_t kSpareBuffersMax = 64;
constexpr std::size_t kSpareCapacityMax = 256 * 1024;

}  // namespace

struct Loop::Hooks {
  uv_async_t posted = {};
  uv_prepare_t before_poll = {};
  uv_check_t after_poll = {};
};

Loop::Loop() : uv_(std::make_unique<uv_loop_t>()), hooks_(std::make_unique<Hooks>()) {
  CHECK(uv_loop_init(uv_.get()) == 0);
  uv_->data = this;
  CHECK(uv_async_init(uv_.get(), &hooks_->posted, [](uv_async_t* handle) noexcept {
          static_cast<Loop*>(handle->loop->data)->RunPosted();
        }) == 0);
  uv_prepare_init(uv_.get(), &hooks_->before_poll);
  uv_check_init(uv_.get(), &hooks_->after_poll);
  uv_prepare_start(&hooks_->before_poll, [](uv_prepare_t* handle) noexcept {
    static_cast<Loop*>(handle->loop->data)->RunTurnEnd();
  });
  uv_check_start(&hooks_->after_poll, [](uv_check_t* handle) noexcept {
    static_cast<Loop*>(handle->loop->data)->RunTurnEnd();
  });
}

Loop::~Loop() {
  uv_close(reinterpret_cast<uv_handle_t*>(&hooks_->posted), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&hooks_->before_poll), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&hooks_->after_poll), nullptr);
  uv_run(uv_.get(), UV_RUN_DEFAULT);
  CHECK(uv_loop_close(uv_.get()) == 0);
}

void Loop::Run() {
  thread_ = std::this_thread::get_id();
  uv_run(uv_.get(), UV_RUN_DEFAULT);
  thread_ = {};
}

void Loop::Stop() {
  uv_stop(uv_.get());
}

void Loop::Post(std::function<void()> task) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(task));
  }
  uv_async_send(&hooks_->posted);
}

void Loop::AtTurnEnd(std::function<void()> task) {
  turn_end_.push_back(std::move(task));
}

void Loop::AtTurnEnd(TurnTask& task) {
  if (!task.scheduled())
    task.AppendTo(turn_tasks_);
}

std::string Loop::TakeBuffer() {
  if (spare_buffers_.empty())
    return {};
  std::string buffer = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return buffer;
}

void Loop::GiveBuffer(std::string buffer) {
  if (spare_buffers_.size() >= kSpareBuffersMax || buffer.capacity() > kSpareCapacityMax)
    return;
  buffer.clear();
  spare_buffers_.push_back(std::move(buffer));
}

MonotonicTime Loop::Now() const {
  return MonotonicTime(std::chrono::duration_cast<Micros>(Millis(uv_now(uv_.get()))));
}

void Loop::CheckThread() const {
  CHECK(thread_ == std::thread::id() || thread_ == std::this_thread::get_id());
}

void Loop::RunPosted() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
  }
  for (const auto& task : tasks)
    task();
}

void Loop::RunTurnEnd() {
  // A task may add another; those run now too, since nothing else would wake the loop for them.
  while (turn_tasks_.linked() || !turn_end_.empty()) {
    while (turn_tasks_.linked()) {
      auto& task = static_cast<TurnTask&>(turn_tasks_.first());
      task.Unlink();
      task.OnTurnEnd();
    }
    std::vector<std::function<void()>> tasks;
    tasks.swap(turn_end_);
    for (const auto& task : tasks)
      task();
  }
}

}  // namespace cloister
