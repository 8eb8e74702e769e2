#pragma once

// One worker process from the order to its exit: spawn, hand-over, channel, kill, exit status.
//
// Knows nothing of requests: frames go to the listener. The calls of a listener come in this order:
// OnProcessStarted, OnProcessFrame and OnProcessBatchEnd any number of times, OnProcessClosed once,
// OnProcessEnded once and last. Destroying a live WorkerProcess kills the process; not from within
// a call of it.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "apis/base/clock.h"
#include "apis/base/names.h"
#include "daemon/calls/call_server.h"
#include "daemon/logs/log_event.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"
#include "daemon/workers/frame_channel.h"
#include "daemon/workers/keeper_link.h"
#include "daemon/workers/spawner.h"
#include "daemon/workers/supervisor.h"
#include "daemon/workers/worker_log.h"

namespace cloister {

class WorkerProcess;

// The processes that were handed over, by id: for what the keeper tells of them.
using ProcessTable = std::unordered_map<WorkerId, WorkerProcess*>;

// The name of the cgroup of the release's app. A release that is checked, and a trial of limits,
// has one of its own: its ceilings must hold for it, and not for what serves.
inline std::string GroupOf(const ReleaseSpec& spec) {
  const std::string app = "app-" + std::to_string(spec.app_id.number);
  return spec.overlay == 0 ? app : app + "-check-" + std::to_string(spec.overlay);
}

struct WorkerOptions {
  Millis boot_timeout{30000};   // from the order to kReady
  Micros fast_service{1000};    // below it the inbox is filled, else one request at a time
  Millis withdraw_after{5};     // unclaimed requests go elsewhere
  Millis stall_after{1000};     // a worker that claims nothing is replaced
  Millis interrupt_grace{100};  // from the wall-time signal to SIGKILL
  Millis shutdown_grace{2000};  // from kShutdown to SIGKILL
  Millis exit_wait{1000};       // from the channel's end to the exit
};

class LoopBudget;
class ObjectResponses;
class QueryProcesses;

// What all workers share.
struct WorkerEnv {
  Loop& loop;
  const Clock& clock;
  WorkerControl& control;
  Spawner& spawner;
  LogSink& logs;
  CallServer& calls;
  ProcessTable& processes;
  WorkerOptions options;
  QueryProcesses* queries = nullptr;   // null: there is no SQL
  ObjectResponses* objects = nullptr;  // null: there are no objects
  LoopBudget* budget = nullptr;        // null: what workers send is not counted
};

class WorkerProcess : private Spawner::Client,
                      private FrameChannel::Handler,
                      private FdWatch::Handler {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // It was handed everything and has an id.
    virtual void OnProcessStarted() {}
    virtual void OnProcessFrame(const Frame& frame) = 0;
    virtual void OnProcessBatchEnd() {}
    // The kernel has all that was sent to it.
    virtual void OnProcessDrained() {}
    // What it sends is no frames; it should be ended.
    virtual void OnProcessGarbage(const Error& error) = 0;
    // Nothing comes any more, whether it lives or not. Not called after End().
    virtual void OnProcessClosed() = 0;
    virtual void OnProcessEnded(const ProcessEnd& end) = 0;
  };

  WorkerProcess(WorkerEnv& env, Listener& listener);
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess() override;

  void Start(SpawnOrder order);
  // SIGKILL, and nothing that it sent is read any more. OnProcessEnded follows.
  void End();
  // The reserved signal.
  void Interrupt();
  // Whether there is a channel to write to.
  bool open() const { return channel_ != nullptr && !closed_; }
  FrameChannel& channel() { return *channel_; }
  // Bytes that were sent and that it has not read.
  std::size_t unread() const { return open() ? channel_->pending() : 0; }
  // The far end of its query channel, once it has started (SpawnedWorker.query).
  UniqueFd TakeQuery() { return std::move(query_); }
  Inbox& inbox() { return inbox_; }
  const Inbox& inbox() const { return inbox_; }

  WorkerId id() const { return id_; }
  std::uint32_t pid() const { return pid_; }

  // From the keeper, by way of the supervisor.
  void OnExited(std::uint32_t status);

 private:
  void OnSpawned(Result<SpawnedWorker> spawned) override;
  // The blank's control socket: BlankRefused, or its end.
  void OnReadable() override;
  void OnFrame(const Frame& frame) override { listener_.OnProcessFrame(frame); }
  void OnBatchEnd() override { listener_.OnProcessBatchEnd(); }
  void OnDrained() override { listener_.OnProcessDrained(); }
  void OnGarbage(const Error& error) override;
  void OnClosed(bool in_frame) override;
  void AwaitExit();
  void Finish(ProcessEnd end);

  WorkerEnv& env_;
  Listener& listener_;
  AppId app_;
  std::shared_ptr<const UniqueFd> image_;  // kept open until the hand-over is done
  WorkerId id_;
  std::uint32_t pid_ = 0;
  bool spawning_ = false;
  bool closed_ = false;
  bool ended_ = false;
  UniqueFd control_;
  std::unique_ptr<FdWatch> control_watch_;
  std::unique_ptr<FrameChannel> channel_;
  UniqueFd query_;
  Inbox inbox_;
  std::optional<std::string> refused_;
  Timer exit_timer_;
};

}  // namespace cloister
