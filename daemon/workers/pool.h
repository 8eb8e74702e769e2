#pragma once

// The workers of one release: a bounded queue, and as many workers as it needs.
//
// Owned by the supervisor; runs on the loop thread. A busy worker with room is filled before
// another is woken. The pool grows while requests wait too long, shrinks when workers are idle, and
// backs off when workers crash: then requests are answered 503 at once.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/clock.h"
#include "apis/quota/quota.h"
#include "daemon/http/message.h"
#include "daemon/loop/timer.h"
#include "daemon/workers/supervisor.h"
#include "daemon/workers/worker.h"
#include "daemon/workers/worker_request.h"

namespace cloister {

struct PoolOptions {
  Millis idle_timeout{60000};      // then a worker above the minimum ends
  Millis grow_after{5};            // a request that waits longer wants another worker
  Millis queue_wait_max{30000};    // then a request is answered 503
  std::uint32_t starting_max = 2;  // workers of one pool that start at the same time
  std::uint32_t crashes_free = 2;  // in a row, before the pool backs off
  Millis backoff_first{500};       // doubles with each more
  Millis backoff_max{30000};
  Millis backoff_hold{1000};            // so long a wait is waited for; beyond: 503 at once
  Millis healthy_after{10000};          // a worker that has lived so long,
  std::uint64_t healthy_requests = 10;  // or answered so many, ends the row
  std::uint64_t requests_max = 0;       // a worker is replaced after so many; 0: never
  // Workers that are started, other than for a boot: so many a second in the long run, whatever
  // they did before they ended, and so many at once (or twice workers_max, if that is more).
  double starts_rate = 2;
  double starts_burst = 16;
};

// What the workers of a pool are made from.
struct RunParts {
  // NOLINTNEXTLINE(google-explicit-constructor): an image alone, for an app without config.
  RunParts(std::shared_ptr<const UniqueFd> fd, std::shared_ptr<const RunConfig> values = nullptr)
      : image(std::move(fd)), config(std::move(values)) {}

  std::shared_ptr<const UniqueFd> image;
  std::shared_ptr<const RunConfig> config;  // null: there is none
};

class Pool : private Worker::Host, private WorkerRequest::Holder {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Asks for the image; the pool hears through OnImage.
    virtual void LoadImage(Pool& pool) = 0;
    // An exchange of a retired release, to be decided anew.
    virtual void Reroute(Exchange& exchange) = 0;
    // No worker is left. A retired pool has nothing more to do then.
    virtual void OnPoolEmpty(Pool& pool) = 0;
  };

  Pool(WorkerEnv& env, const PoolOptions& options, ReleaseSpec spec, Owner& owner);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  // Requests that are still here are answered 503.
  ~Pool() override;

  // Boots `count` (at least 1) workers from `parts` and says how that went: when all are ready, or
  // when one failed. `done` may be called from within.
  void Boot(RunParts parts, std::uint32_t count, std::function<void(BootOutcome)> done);
  // The same release within other limits: WorkerSupervisor::Update.
  void Update(const ReleaseSpec& spec);
  // The same release with another config: WorkerSupervisor::Reconfigure.
  void Reconfigure(const std::shared_ptr<const RunConfig>& config,
                   WorkerSupervisor::Delivery delivery);
  // Keeps at least workers_min alive from now on.
  void KeepMinimum();
  // Keeps what workers are made from, once it has it: where that comes from, it may soon not be any
  // more. A pool with work that has it not asks for it now.
  void KeepParts();
  void Submit(Exchange& exchange);
  // What runs is finished, the rest goes elsewhere, then all workers end: OnPoolEmpty, which may
  // come from within.
  void Retire();
  void OnImage(Result<RunParts> parts);

  const ReleaseSpec& spec() const { return spec_; }
  bool retired() const { return retired_; }
  // OnImage is still to come.
  bool waits_for_parts() const { return image_wanted_; }
  bool empty() const { return workers_.empty(); }
  std::size_t queued() const { return queue_.size(); }
  std::size_t workers() const { return workers_.size(); }
  // Workers that serve or will.
  std::size_t usable() const;
  ReleaseUse Use() const;
  // Tells the app when a worker comes near to its memory.
  void NoteMemory();
  // When workers may be started again; in the past: now.
  MonotonicTime backoff_until() const { return backoff_until_; }
  void AppendInfo(std::vector<WorkerInfo>& out) const;

 private:
  // A Boot() under way.
  struct Booting {
    std::vector<const Worker*> workers;  // that are not ready yet
    Micros slowest{0};
    std::function<void(BootOutcome)> done;
  };

  void OnWorkerReady(Worker& worker) override;
  void OnWorkerBootFailed(Worker& worker, BootFailure failure) override;
  void OnWorkerRoom(Worker& worker) override;
  void OnRequestDone(WorkerRequest& request) override { Free(request); }
  void OnRequestReturned(WorkerRequest& request, bool died) override;
  void OnWorkerDead(Worker& worker, bool crashed) override;
  void OnWorkerGone(Worker& worker) override;
  void OnRequestClientGone(WorkerRequest& request) override;
  void OnRequestWritable(WorkerRequest& request) override;

  WorkerRequest& TakeFree();
  void Free(WorkerRequest& request);
  // A request of this release when it was retired: to where the next one would go.
  void LeaveRetired(Exchange& exchange);
  // Gives waiting requests to workers with room.
  void Assign();
  Worker* Pick(const WorkerRequest& request) const;
  std::size_t CountInFlight() const;
  void RefuseForQueue(Exchange& exchange);
  // What to do about requests that still wait.
  void Grow();
  void OnGrowTick();
  void ExpireQueue(MonotonicTime now);
  bool MayStart();
  // Whether the pool backs off from starting workers, of whatever number.
  bool HoldsStarts();
  // Until one of those of a second is there.
  void HoldStarts(MonotonicTime now);
  void BackOff(MonotonicTime now, Millis delay);
  double StartsBurst() const;
  void StartWorker();
  // Whether all is there that a worker is made from.
  bool HasParts() const { return image_ != nullptr && (spec_.config == 0 || config_ != nullptr); }
  Worker& AddWorker();
  // The Boot() that waits for the worker; end(): nobody does.
  std::vector<Booting>::iterator FindBooting(const Worker& worker);
  void OnBootedOne(std::vector<Booting>::iterator booting, const Worker& worker);
  // Whether another worker is to take its place.
  bool IsSpent(const Worker& worker) const;
  void Recycle();
  void Shrink();
  // Ends workers beyond workers_max, idle ones first.
  void EndSurplus();
  bool IsHealthy(const Worker& worker) const;
  // Ends the row of crashes when a worker has proven healthy since the last look.
  void NoteHealth();
  enum class Fault { kOfApp, kOfNode };
  void NoteCrash(Fault fault);
  // The exchange of the first in the queue, which leaves it.
  Exchange& TakeQueued();
  void RespondDown(Exchange& exchange) const;
  Seconds RetryAfter() const;
  // Whether the pool backs off for longer than a request should wait.
  bool IsDown() const;
  std::size_t CountState(WorkerState state) const;
  void DropGraveyard();

  WorkerEnv& env_;
  const PoolOptions& options_;
  ReleaseSpec spec_;
  std::string app_name_;
  Owner& owner_;
  WorkerLog log_;
  std::shared_ptr<const UniqueFd> image_;
  std::shared_ptr<const RunConfig> config_;  // null: not loaded, or there is none
  bool image_wanted_ = false;

  std::vector<std::unique_ptr<Worker>> workers_;  // until the process is gone
  std::vector<std::unique_ptr<Worker>> graveyard_;
  std::vector<Booting> booting_;
  RequestQueue queue_;
  QuotaNotice queue_notice_;
  QuotaNotice memory_notice_;
  std::vector<std::unique_ptr<WorkerRequest>> requests_;  // all of them
  std::vector<WorkerRequest*> free_;

  bool keep_minimum_ = false;
  bool keep_parts_ = false;
  bool retired_ = false;
  std::uint32_t crashes_ = 0;            // in a row
  std::vector<const Worker*> unproven_;  // serve, and were not healthy when we looked last
  bool host_at_fault_ = false;           // not the app: nothing could be started
  MonotonicTime backoff_until_;
  TokenBucket starts_;
  QuotaNotice starts_notice_;
  Timer grow_timer_;
  Timer shrink_timer_;
  Timer backoff_timer_;
  std::shared_ptr<Pool*> self_;  // null inside once this is gone
};

}  // namespace cloister
