#pragma once

// The zygote processes: one that serves, sometimes a newer one that warms up, old ones that end.
//
// Owned by the keeper. Workers of one zygote share address layout and hash seed, so what one of
// them gives away holds for the others: after so many spawns or so long a new zygote takes over.
// Every node process has a socket of its own to the zygote that serves. A zygote's end, planned or
// not, ends no worker. The one that serves has some uids ahead, for the workers that it makes next.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "apis/base/clock.h"
#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "daemon/keeper/control_link.h"
#include "daemon/keeper/ground.h"
#include "daemon/keeper/restart_policy.h"
#include "daemon/keeper/worker_uids.h"

namespace cloister {

class Zygotes {
 public:
  // The references must outlive the object.
  Zygotes(const Ground& ground, const Clock& clock)
      : ground_(ground),
        clock_(clock),
        uids_(ground.identities.worker_uid_base, ground.identities.worker_uid_count) {}

  // Starts the first zygote. An Error: it cannot be started on this host.
  Result<void> Start();
  // The node's end of a new socket to the zygote that serves; none while there is no zygote.
  UniqueFd Attach(std::uint64_t generation);
  // True once after another zygote took over: every node must be attached anew.
  bool TakeReattach() { return std::exchange(reattach_, false); }

  // A worker is gone that had this uid; 0: it had none of its own.
  void ReleaseUid(std::uint32_t uid);

  // Reads what the zygotes say; `adopt` gets every new worker.
  void Receive(const std::function<void(const Cloned&)>& adopt);
  // Starts, rotates and ends zygotes whose time has come.
  void Tick();
  // The time of the next Tick that is needed.
  std::optional<MonotonicTime> NextTick() const;
  // True when `pid` was a zygote.
  bool OnExit(pid_t pid, int status);
  // Tells all to end and starts no more.
  void Stop();
  void Kill() const;

  template <typename Visitor>
  void ForEachLink(Visitor visit) {
    for (Zygote& zygote : zygotes_)
      visit(zygote.link);
  }
  bool stopping() const { return stopping_; }
  bool empty() const { return zygotes_.empty(); }
  // Why zygotes cannot run on this host; empty while they may.
  const std::string& fatal() const { return fatal_; }

 private:
  enum class Phase { kWarming, kServing, kEnding };

  struct Zygote {
    std::uint32_t number = 0;
    pid_t pid = 0;
    ControlLink link;
    Phase phase = Phase::kWarming;
    bool ready = false;
    bool dismissed = false;  // it ends because we told it to
    std::uint32_t spawns = 0;
    std::set<std::uint32_t> uids;  // that it has ahead
    bool knows_of_none = false;    // it was told that no uid is free
    MonotonicTime started;
    std::optional<MonotonicTime> kill_at;
  };

  Result<void> StartOne();
  void TryStart();
  void OnPacket(Zygote& zygote, const Packet& packet,
                const std::function<void(const Cloned&)>& adopt);
  // Makes `zygote` the one that serves; the one before ends.
  void TakeOver(Zygote& zygote);
  // Gives the one that serves as many uids ahead as it should have.
  void GrantUids();
  void TellExhausted(Zygote& zygote);
  void End(Zygote& zygote);
  bool CanRotate(const Zygote& zygote) const;
  bool IsDue(const Zygote& zygote) const;
  Zygote* InPhase(Phase phase);
  const Zygote* InPhase(Phase phase) const;

  const Ground& ground_;
  const Clock& clock_;
  std::list<Zygote> zygotes_;
  WorkerUids uids_;
  std::optional<MonotonicTime> exhausted_told_at_;
  RestartPolicy restarts_;
  std::optional<MonotonicTime> start_at_;
  std::uint32_t last_number_ = 0;
  bool reattach_ = false;
  bool stopping_ = false;
  std::string fatal_;
};

}  // namespace cloister
