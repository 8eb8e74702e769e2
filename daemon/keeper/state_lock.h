#pragma once

// The state directory and the lock that makes its keeper the only one.
//
// Two locks (flock), because processes of a killed keeper outlive it by moments: STATE/lock is the
// keeper's alone and names it; STATE/lock.children is inherited by node and zygote and is free when
// the last of them is gone. Until then a new keeper waits, so there are never two writers.

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"

namespace cloister {

// What STATE/lock says of its keeper: its process id, and the cgroups that it made, a line each.
struct LockRecord {
  pid_t keeper = 0;  // 0: nothing is written
  std::vector<std::string> cgroups;
};

std::string RenderLockRecord(const LockRecord& record);
// Never fails: what does not look like a record is an empty one.
LockRecord ParseLockRecord(std::string_view text);

class StateLock {
 public:
  // How long the processes of an earlier keeper may take to end.
  static constexpr int kChildrenWaitMs = 10000;

  // Makes the directory if needed (0700, owned by `node_uid`) and takes both locks.
  // kAlreadyExists names the keeper that runs on it; kUnavailable: processes of an earlier one do
  // not end.
  static Result<StateLock> Take(const std::string& state_dir, uid_t node_uid);

  // Writes who we are and what must be cleaned up if we are killed.
  Result<void> Write(const LockRecord& record) const;

  // What an earlier keeper left when it was killed; empty after an orderly end.
  const LockRecord& left_over() const { return left_over_; }
  // The descriptor that node and zygote inherit.
  int children_fd() const { return children_lock_.get(); }

 private:
  StateLock() = default;

  UniqueFd lock_;
  UniqueFd children_lock_;
  LockRecord left_over_;
};

}  // namespace cloister
