#pragma once

// One libuv loop and the thread that runs it. All state of the node process belongs to that thread.
//
// Post() is the only call that is safe from another thread. AtTurnEnd() collects work that is done
// once per turn, after all events that were ready together: writes to one peer become one system
// call. The loop also keeps spare buffers, so that what waits idle needs to hold none.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apis/base/clock.h"
#include "daemon/loop/list_link.h"

using uv_loop_t = struct uv_loop_s;

namespace cloister {

// Something that its owner wants done at the end of a turn, scheduled without an allocation.
// Destroying it takes it off the list.
class TurnTask : private ListLink {
 public:
  virtual ~TurnTask() = default;
  virtual void OnTurnEnd() = 0;
  bool scheduled() const { return linked(); }

 private:
  friend class Loop;
};

class Loop {
 public:
  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();  // every Timer, FdWatch and Background must be gone

  // Runs until Stop().
  void Run();
  void Stop();

  // Runs `task` on the loop thread, in the order posted. Safe from any thread.
  void Post(std::function<void()> task);

  // Runs `task` at the end of this turn of the loop. Not for tasks that may be cancelled: the task
  // must outlive the turn (look things up by id).
  void AtTurnEnd(std::function<void()> task);
  // The same, once for each time that it is not scheduled already.
  void AtTurnEnd(TurnTask& task);

  // An empty buffer, probably with capacity; and back with it when it is not needed any more.
  std::string TakeBuffer();
  void GiveBuffer(std::string buffer);

  // Monotonic time at the start of this turn: for timeouts, not for measuring.
  MonotonicTime Now() const;

  // CHECKs that the caller is on the loop thread (or that the loop does not run yet).
  void CheckThread() const;

  uv_loop_t* uv() { return uv_.get(); }

 private:
  struct Hooks;
  void RunPosted();
  void RunTurnEnd();

  std::unique_ptr<uv_loop_t> uv_;
  std::unique_ptr<Hooks> hooks_;
  std::thread::id thread_;
  ListLink turn_tasks_;  // TurnTask
  std::vector<std::function<void()>> turn_end_;
  std::vector<std::string> spare_buffers_;
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
};

}  // namespace cloister
