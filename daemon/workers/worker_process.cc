#include "daemon/workers/worker_process.h"

#include <utility>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "apis/wire/fd_socket.h"

namespace cloister {

WorkerProcess::WorkerProcess(WorkerEnv& env, Listener& listener)
    : env_(env), listener_(listener), exit_timer_(env.loop) {}

WorkerProcess::~WorkerProcess() {
  if (spawning_)
    env_.spawner.Cancel(*this);
  if (!id_.valid())
    return;
  env_.processes.erase(id_);
  if (!ended_)
    env_.control.Kill(id_);
}

void WorkerProcess::Start(SpawnOrder order) {
  CHECK(!spawning_ && !id_.valid());
  spawning_ = true;
  app_ = order.app_id;
  image_ = order.image;
  env_.spawner.Spawn(std::move(order), *this);
}

void WorkerProcess::OnSpawned(Result<SpawnedWorker> spawned) {
  spawning_ = false;
  if (!spawned.ok()) {
    closed_ = true;
    listener_.OnProcessClosed();
    return Finish(
        {.how = ProcessEnd::How::kNotMade, .number = 0, .error = spawned.error().message});
  }
  SpawnedWorker& worker = spawned.value();
  id_ = worker.id;
  pid_ = worker.pid;
  env_.processes.emplace(id_, this);
  inbox_ = std::move(worker.inbox);
  query_ = std::move(worker.query);
  control_ = std::move(worker.control);
  control_watch_ =
      std::make_unique<FdWatch>(env_.loop, control_.get(), static_cast<FdWatch::Handler&>(*this));
  control_watch_->Watch(true, false);
  channel_ = std::make_unique<FrameChannel>(
      env_.loop, std::move(worker.channel), static_cast<FrameChannel::Handler&>(*this),
      env_.budget != nullptr ? env_.budget->AccountOf(app_) : nullptr);
  listener_.OnProcessStarted();
}

void WorkerProcess::OnReadable() {
  const Result<Received> received = ReceivePacket(control_.get());
  if (received.ok() && received.value().state == ReceiveState::kWouldBlock)
    return;
  if (received.ok() && received.value().state == ReceiveState::kPacket) {
    const Result<BlankRefused> refused = DecodeMessage<BlankRefused>(received.value().packet.bytes);
    refused_ = refused.ok() ? refused.value().step + ": " + refused.value().error
                            : "it answered the hand-over with nonsense";
    // What the blank says is of interest once. Its end shows on the channel.
  }
  control_watch_.reset();
  control_.Reset();
  image_.reset();
}

void WorkerProcess::OnGarbage(const Error& error) {
  listener_.OnProcessGarbage(error);
}

void WorkerProcess::OnClosed(bool in_frame) {
  closed_ = true;
  if (in_frame)
    Log(LogLevel::kInfo, "worker_ended_in_frame", {{"worker", id_.number}});
  listener_.OnProcessClosed();
  AwaitExit();
}

void WorkerProcess::AwaitExit() {
  if (ended_)
    return;
  // A channel that is closed by a process that lives on is a process without use.
  exit_timer_.Start(env_.options.exit_wait, [this] {
    env_.control.Kill(id_);
    exit_timer_.Start(env_.options.exit_wait, [this] { Finish({}); });
  });
}

void WorkerProcess::End() {
  if (ended_)
    return;
  closed_ = true;
  if (spawning_) {
    env_.spawner.Cancel(*this);
    spawning_ = false;
  }
  if (channel_ != nullptr)
    channel_->Close();
  if (id_.valid())
    env_.control.Kill(id_);
  // A process that never was ends at the end of this turn: not from within the caller's call.
  if (id_.valid())
    return AwaitExit();
  exit_timer_.Start(Millis(0), [this] {
    Finish({.how = ProcessEnd::How::kNotMade, .number = 0, .error = "it is not wanted any more"});
  });
}

void WorkerProcess::Interrupt() {
  if (id_.valid() && !ended_)
    env_.control.Interrupt(id_);
}

void WorkerProcess::OnExited(std::uint32_t status) {
  if (ended_)
    return;
  // What it had sent is still in the socket.
  if (channel_ != nullptr && !closed_)
    channel_->TakeRest();
  if (!ended_)
    Finish(EndOf(status));
}

void WorkerProcess::Finish(ProcessEnd end) {
  ended_ = true;
  exit_timer_.Stop();
  // It may have refused just before it ended.
  if (control_watch_ != nullptr)
    OnReadable();
  if (refused_.has_value())
    end = {.how = ProcessEnd::How::kNotMade, .number = 0, .error = *refused_};
  if (id_.valid())
    env_.processes.erase(id_);
  listener_.OnProcessEnded(end);
}

}  // namespace cloister
