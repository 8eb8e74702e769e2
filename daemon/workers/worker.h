#pragma once

// One worker that serves a release: starting, idle, busy, draining, dead (worker_state.h).
//
// Owned by its Pool; runs on the loop thread. Takes requests up to room(), relays the answers, and
// gives back to the pool what it did not claim. Every frame of the worker is hostile (I3): a
// violation ends the process, its claimed request gets a 502 and the others go elsewhere (I2). Must
// not be destroyed from within a call to its Host.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/clock.h"
#include "apis/wire/channel.h"
#include "apis/wire/frame.h"
#include "daemon/calls/worker_calls.h"
#include "daemon/loop/timer.h"
#include "daemon/workers/query_link.h"
#include "daemon/workers/request_slots.h"
#include "daemon/workers/supervisor.h"
#include "daemon/workers/worker_config.h"
#include "daemon/workers/worker_log.h"
#include "daemon/workers/worker_process.h"
#include "daemon/workers/worker_request.h"
#include "daemon/workers/worker_state.h"

namespace cloister {

class Worker : private WorkerProcess::Listener,
               private WorkerRequest::Holder,
               private WorkerCalls::Channel,
               private QueryLink::Listener {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    virtual void OnWorkerReady(Worker& worker) = 0;
    // It never became ready. Comes before OnWorkerGone.
    virtual void OnWorkerBootFailed(Worker& worker, BootFailure failure) = 0;
    // It may take more requests now.
    virtual void OnWorkerRoom(Worker& worker) = 0;
    // The request was answered, or nobody waits for it any more.
    virtual void OnRequestDone(WorkerRequest& request) = 0;
    // The worker had not claimed it and cannot any more; `died`: because the worker died.
    virtual void OnRequestReturned(WorkerRequest& request, bool died) = 0;
    // It was ready and is of no use any more; `crashed`: nobody wanted that.
    virtual void OnWorkerDead(Worker& worker, bool crashed) = 0;
    // The process is gone and all is said: this may be destroyed (later, not within the call).
    virtual void OnWorkerGone(Worker& worker) = 0;
  };

  // `env`, `spec` and `host` must outlive it.
  Worker(WorkerEnv& env, const ReleaseSpec& spec, Worker::Host& host);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // What it still has is answered 503.
  ~Worker() override;

  // `config` null: the app has none.
  void Start(std::shared_ptr<const UniqueFd> image,
             std::shared_ptr<const RunConfig> config = nullptr);
  // It has this config from its next request on.
  void Deliver(std::shared_ptr<const RunConfig> config);

  // How many more requests it takes now.
  std::size_t room() const;
  void Send(WorkerRequest& request);
  // Finishes what was claimed, gives back the rest, then ends. A worker that is not ready yet ends
  // at once.
  void Retire();
  WorkerState state() const { return state_; }
  std::size_t in_flight() const { return in_flight_.size(); }
  std::uint64_t requests() const { return requests_; }
  std::uint32_t pid() const { return process_.pid(); }
  // The spec has changed. A worker that was made with other limits, or has another config, is
  // outdated.
  void NoteLimits() {
    outdated_ = config_.worn() || config_.number() != spec_.config ||
                !spec_.limits.FitsProcessOf(made_with_);
  }
  bool outdated() const { return outdated_; }
  // When it last became idle.
  MonotonicTime idle_since() const { return idle_since_; }
  MonotonicTime started_at() const { return started_at_; }
  Micros boot_time() const { return boot_time_; }
  WorkerInfo Info() const;

 private:
  enum class Keep { kNone, kOldest };

  void OnProcessStarted() override;
  void OnProcessFrame(const Frame& frame) override;
  void OnProcessBatchEnd() override;
  void OnProcessDrained() override { calls_.OnDrained(); }
  void OnProcessGarbage(const Error& error) override;
  void OnProcessClosed() override;
  void OnProcessEnded(const ProcessEnd& end) override;
  std::string* CallOut() override { return process_.open() ? &process_.channel().out() : nullptr; }
  void TouchCallOut() override { process_.channel().TouchAnswer(); }
  std::size_t unread() const override { return process_.unread(); }
  void OnBadCall(const Error& error) override { Violate(error); }
  void OnBadQuery(const Error& error) override { Violate(error); }
  void OnRequestClientGone(WorkerRequest& request) override;
  void OnRequestWritable(WorkerRequest& request) override;

  Result<void> TakeFrame(const Frame& frame);
  Result<void> TakeReady();
  Result<void> TakeBootFailed(const Frame& frame);
  Result<void> TakeAnswer(const Frame& frame);
  Result<void> TakeBodyCredit(const Frame& frame);

  void SendBody(WorkerRequest& request);
  void SendCredit(WorkerRequest& request);
  // The response is complete.
  void Finish(WorkerRequest& request);
  void Forget(WorkerRequest& request);
  // Gives back to the host what was not claimed.
  void Withdraw(Keep keep, bool died);
  bool IsClaimed(const WorkerRequest& request) const;
  // The oldest that is claimed; null: none is.
  const WorkerRequest* Claimed() const;
  Millis WallMaxOf(const WorkerRequest& request) const {
    return request.WallMax(spec_.limits.wall_max);
  }
  // Whether the inbox holds what an honest worker leaves there.
  bool IsInboxSound() const;
  // After something ended: more work, idle, or the end.
  void Settle();

  void Enter(WorkerState to);
  void SendShutdown();
  // The end of a worker that broke the rules of the channel.
  void Violate(const Error& error);
  // Nothing can come from it any more: `code` for what it had claimed.
  void Die(std::string_view code, std::string_view detail);
  void BecomeDead();
  void OnBootTimeout();

  // One timer for all that may take too long while requests are in flight.
  void ArmTick(MonotonicTime at);
  void OnTick();
  void OnWallTime(MonotonicTime now, Millis wall_max);
  void OnDidNotStop();
  void WithdrawLate(bool claimed, Micros running);

  WorkerEnv& env_;
  const ReleaseSpec& spec_;
  Host& host_;
  WorkerLog log_;
  WorkerConfig config_;
  WorkerProcess process_;
  WorkerCalls calls_;
  std::unique_ptr<QueryLink> query_;  // while there is a process
  WorkerState state_ = WorkerState::kStarting;

  RequestSlots in_flight_;
  WorkerRequest* answering_ = nullptr;  // its response has begun and not ended
  int late_credits_ = 0;                // since the last request was done
  bool large_in_flight_ = false;        // a body follows in frames of its own
  bool settle_wanted_ = false;          // something ended in this batch of frames
  bool probing_ = false;                // it is slow to claim: nothing more until it answers
  MonotonicTime batch_now_;             // when this batch of frames came; 0: not looked yet
  MonotonicTime running_since_;         // of the request that it executes, as far as we can know
  Micros recent_service_;               // average, for the depth of the inbox
  std::uint64_t requests_ = 0;

  WorkerLimits made_with_;
  bool outdated_ = false;
  bool retiring_ = false;  // its end is wanted, so no crash
  bool violated_ = false;
  bool shutdown_sent_ = false;
  std::optional<MonotonicTime> interrupted_at_;
  std::optional<BootFailure> boot_failure_;
  std::string lost_request_;  // id of the one that it was executing when it died

  MonotonicTime started_at_;
  MonotonicTime idle_since_;  // by the loop's clock
  Micros boot_time_{0};
  MonotonicTime tick_at_ = MonotonicTime::max();  // max: the tick is off
  bool tick_made_ = false;
  Timer tick_;
  Timer state_timer_;  // boot, shutdown
};

}  // namespace cloister
