#pragma once

// The query process of one app (or of one of its releases that is checked), when it has one.
//
//   gone -> opening (files) -> starting -> serving -> gone
//
// Started when a worker asks, gone when idle: it ends by itself. Owned by QueryProcesses; runs on
// the loop thread. What the process says is as hostile as what a worker says.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apis/base/names.h"
#include "apis/query/packets.h"
#include "apis/query/quota.h"
#include "apis/quota/quota.h"
#include "apis/service.h"
#include "daemon/loop/timer.h"
#include "daemon/workers/query_files.h"
#include "daemon/workers/query_link.h"
#include "daemon/workers/worker_process.h"

namespace cloister {

// Whose process it is.
struct QueryOwner {
  AppId app;
  std::string name;     // TENANT/APP
  std::string version;  // of the release that spoke last, for the app's log
  std::string group;    // the app's cgroup
  OverlayId overlay = 0;
  std::uint64_t data = 0;  // the generation of its database
};

class QueryProcess : private WorkerProcess::Listener {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    // Opens the files in the background and answers with OnFiles().
    virtual void OpenFiles(QueryProcess& process) = 0;
    // The process reports what it used.
    virtual void OnUse(QueryProcess& process, const QueryUse& use) = 0;
    // For the app's log.
    virtual void Say(QueryProcess& process, std::uint8_t level, std::string text) = 0;
    // Nobody uses that copy of the app's database any more, which is on a server.
    virtual void DropCopy(const QueryOwner& owner, const std::string& copy) = 0;
    // It ended while statements may have run.
    virtual void OnLost(QueryProcess& process) = 0;
    // No worker is left that could ask.
    virtual void OnUnused(QueryProcess& process) = 0;
  };

  QueryProcess(WorkerEnv& env, Host& host, QueryOwner owner, Millis idle);
  QueryProcess(const QueryProcess&) = delete;
  QueryProcess& operator=(const QueryProcess&) = delete;
  ~QueryProcess() override { LeaveCopy(); }

  void Enter(QueryLink& link) { links_.push_back(&link); }
  void Leave(QueryLink& link);
  // The app is deleted: who is still there is told, and leaves.
  void Dismiss();
  bool unused() const { return links_.empty(); }
  // On its way to serve.
  bool starting() const { return state_ == State::kOpening || state_ == State::kStarting; }
  // Something came from that worker.
  void Want(QueryLink& link);
  void OnFiles(Result<QueryFiles> files);
  void SetQuota(const QueryQuota& quota);

  QueryOwner& owner() { return owner_; }
  const QueryUse& last_use() const { return use_; }
  // Whether it is time to tell of damage: once a minute at most, whatever the process reports.
  bool TellsDamage(MonotonicTime now);
  const QueryQuota& quota() const { return quota_; }
  std::uint32_t pid() const { return process_ != nullptr ? process_->pid() : 0; }

 private:
  enum class State { kGone, kOpening, kStarting, kServing };

  void OnProcessStarted() override;
  void OnProcessFrame(const Frame& frame) override;
  void OnProcessGarbage(const Error& error) override;
  void OnProcessClosed() override {}
  void OnProcessEnded(const ProcessEnd& end) override;
  Result<void> TakeFrame(const Frame& frame);
  Result<void> TakeBootFailure(const Frame& frame);
  Result<void> TakeUse(const Frame& frame);
  Result<void> TakeBroken(const Frame& frame);
  void Start();
  void LeaveCopy();
  void AttachAll();
  bool Attach(QueryLink& link);
  void SendOrders();
  // What it had no room for is tried again.
  void TryAgain();
  QueryOrders Orders() const;
  // Nobody gets it, for this reason. After some failures in a row, what comes soon gets the same
  // answer.
  void FailAll(const std::string& why);
  void CountFailure(const std::string& why);
  void TellAll(const std::string& why);
  std::string DescribeLoss(const ProcessEnd& end) const;
  // Of process_: not within a call of it.
  void Bury();

  WorkerEnv& env_;
  Host& host_;
  QueryOwner owner_;
  Millis idle_;
  QueryQuota quota_;
  State state_ = State::kGone;
  QueryMode mode_ = QueryMode::kKept;
  std::string copy_;  // of QueryFiles; empty: none
  std::vector<QueryLink*> links_;
  std::vector<QueryLink*> wanting_;
  std::unique_ptr<WorkerProcess> process_;
  std::unique_ptr<WorkerProcess> dead_;
  UniqueFd control_;
  bool orders_owed_ = false;  // control_ had no room for the last ones
  std::string boot_failure_;
  std::string last_failure_;
  std::uint32_t failures_ = 0;  // in a row
  MonotonicTime retry_at_;
  TokenBucket starts_;
  QueryUse use_;
  std::optional<MonotonicTime> damage_told_;
  Timer start_timer_;
  Timer attach_timer_;
  Timer tell_timer_;
  Timer bury_timer_;
};

}  // namespace cloister
