#pragma once

// The keeper's hands on the workers: adopts, places, signals and reaps them.
//
// Owned by the keeper; the bookkeeping is WorkerTable's and GroupLedger's. What a node process asks
// for is done only for workers of its own generation.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "apis/base/clock.h"
#include "apis/base/result.h"
#include "apis/wire/messages.h"
#include "daemon/keeper/cgroups.h"
#include "daemon/keeper/cpu_classes.h"
#include "daemon/keeper/worker_table.h"

namespace cloister {

class KeptWorkers {
 public:
  KeptWorkers(Cgroups& cgroups, const Clock& clock, unsigned cpus = UsableCpus())
      : cgroups_(cgroups), clock_(clock), classes_(cpus) {}

  // The zygote made a worker. A report when it has ended already. kProtocol when the process is no
  // child of ours or is known.
  Result<std::optional<WorkerExited>> Adopt(const Cloned& cloned);
  // A child that is neither node nor zygote was reaped. Its generation and report; empty when the
  // zygote's word about it is still to come.
  struct Ended {
    std::uint64_t generation = 0;
    std::uint32_t uid = 0;  // free again; 0: it had none of its own
    WorkerExited report;
  };
  std::optional<Ended> OnExit(pid_t pid, const WorkerExit& exit);

  // Moves a blank into its group; the answer for the node.
  WorkerPlaced Place(std::uint64_t generation, const PlaceWorker& request);
  // Sends a signal; nothing happens when the worker is gone or not of that generation.
  void Signal(std::uint64_t generation, std::uint64_t worker_id, int signal_number);
  void KillGeneration(std::uint64_t generation);
  void KillAll();

  // Puts the groups that compute much into the background, and others back, when a window is over.
  void Tick();
  std::optional<MonotonicTime> NextTick() const;

  std::size_t size() const { return table_.size(); }

 private:
  Result<void> TryPlace(std::uint64_t generation, const PlaceWorker& request);
  void Leave(const WorkerRecord& worker, Micros cpu);
  CpuClasses::Used CpuOfGroups() const;

  Cgroups& cgroups_;
  const Clock& clock_;
  WorkerTable table_;
  GroupLedger ledger_;
  CpuClasses classes_;
  std::map<std::string, Micros> cpu_of_ended_;  // by group, while it has others
  MonotonicTime window_began_{};
  bool background_fails_ = false;  // said once
};

}  // namespace cloister
