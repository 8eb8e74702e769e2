#pragma once

// Which workers there are: id, process, and the generation of the node process that they work for.
//
// Owned by the keeper; pure bookkeeping without system calls. Workers are the keeper's children
// (CLONE_PARENT), but it is the zygote that knows their ids, so a child may end before the zygote's
// word about it arrives: such an exit is kept until then. A node process may only name its own
// generation's workers.

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "apis/base/names.h"
#include "apis/base/units.h"
#include "daemon/keeper/cgroups.h"

namespace cloister {

struct WorkerExit {
  int status = 0;  // as of waitpid
  Micros cpu{0};
};

struct WorkerRecord {
  WorkerId id;
  std::uint64_t generation = 0;
  pid_t pid = 0;
  std::uint32_t uid = 0;  // its own; 0: it has ours
  std::string group;      // of cgroups; empty until placed
  GroupLimits share;      // what it added to its group's ceilings
};

class WorkerTable {
 public:
  // The most exits that wait for the zygote's word; beyond, the oldest is forgotten.
  static constexpr std::size_t kEarlyExitsMax = 1024;

  // False when the id or the process is in the table already: the zygote lied.
  bool Add(WorkerId id, std::uint64_t generation, pid_t pid, std::uint32_t uid = 0);
  // The worker whose process is `pid`, taken out.
  std::optional<WorkerRecord> Remove(pid_t pid);
  // Null unless the worker lives and belongs to `generation`. Valid until the next change.
  WorkerRecord* Find(WorkerId id, std::uint64_t generation);
  bool HasProcess(pid_t pid) const { return by_pid_.contains(pid); }
  std::vector<pid_t> ProcessesOf(std::uint64_t generation) const;
  std::vector<pid_t> Processes() const;
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [pid, record] : by_pid_)
      visit(record);
  }
  std::size_t size() const { return by_pid_.size(); }

  // A child ended that nobody told us about.
  void NoteEarlyExit(pid_t pid, WorkerExit exit);
  // The exit of a child that ended before it was announced, taken out.
  std::optional<WorkerExit> TakeEarlyExit(pid_t pid);

 private:
  struct EarlyExit {
    pid_t pid = 0;
    WorkerExit exit;
  };

  std::unordered_map<pid_t, WorkerRecord> by_pid_;
  std::unordered_map<WorkerId, pid_t> pid_by_id_;
  std::deque<EarlyExit> early_exits_;
};

}  // namespace cloister
