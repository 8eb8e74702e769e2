#pragma once

// The kernel's accounting groups of the workers: one per app, with ceilings of memory, processes
// and CPU. Version 2 as the operator delegated it, version 1 as mounted, or none.
//
// Only the keeper writes cgroups. Its groups live in a group of its own, cloister-PID, beside
// itself; the node's and the cache server's are there too, so that the kernel weighs them against
// those of apps. Workers are moved in before they map anything of a tenant. cgroups are the real
// ceiling; where they are missing the rlimits of the worker are the floor, and the node says so at
// start.

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/units.h"

namespace cloister {

// The ceilings of one group, all its workers together.
struct GroupLimits {
  Bytes memory_max;
  std::uint64_t pids_max = 0;
  std::uint64_t cpu_millis = 0;  // thousandths of a core; of one worker 0: it has no word
  // Of the CPU that several groups want, its part: 1 to 10,000 as in version 2.
  std::uint64_t cpu_weight = 100;
};

// Where this host has cgroups that we may use, found in the texts of /proc/self/mountinfo and
// /proc/self/cgroup. Pure.
struct CgroupPlaces {
  enum class Version { kNone, kV1, kV2 };

  Version version = Version::kNone;
  // Controller name to the directory of our own group in it; one "" for version 2.
  std::map<std::string, std::string> own;
  std::string reason;  // why kNone
};

CgroupPlaces FindCgroups(std::string_view mountinfo, std::string_view self_cgroup);

// Whether a group may have this name: [a-z0-9-]+, at most 64 bytes. The node chooses names; the
// keeper makes directories of them.
bool IsGroupName(std::string_view name);

// File and text of each ceiling, in the order of writing. `cpu_period` is 100 ms.
using GroupFiles = std::vector<std::pair<std::string, std::string>>;
GroupFiles CgroupFilesV1(const std::string& controller, const GroupLimits& limits);
GroupFiles CgroupFilesV2(const GroupLimits& limits);

class Cgroups {
 public:
  Cgroups() = default;
  Cgroups(const Cgroups&) = delete;
  Cgroups& operator=(const Cgroups&) = delete;
  virtual ~Cgroups() = default;

  // "v2", "v1" or "none".
  virtual const char* version() const = 0;
  // Why there are none; empty when there are.
  virtual const std::string& reason() const = 0;
  // The directories that must be removed if we are killed.
  virtual std::vector<std::string> Directories() const = 0;

  // Makes the group if there is none and sets its ceilings.
  virtual Result<void> Set(const std::string& group, const GroupLimits& limits) = 0;
  // Makes a group of our own that has no ceilings, with its part of the CPU as of GroupLimits.
  virtual Result<void> SetWeight(const std::string& group, std::uint64_t cpu_weight) = 0;
  // Whether a group gives way to the others at once when they want a CPU. Kernels before 5.15 have
  // no such thing: an Error.
  virtual Result<void> SetBackground(const std::string& group, bool background) = 0;
  virtual Result<void> Move(const std::string& group, pid_t pid) = 0;
  // Removes an empty group; one that the kernel has not let go of yet goes with the next one.
  virtual void Remove(const std::string& group) = 0;
  // Removes all that we made, at the end.
  virtual void RemoveAll() = 0;
};

// The best that the host gives, with a group cloister-`keeper` made; never fails, but may be none.
std::unique_ptr<Cgroups> OpenCgroups(const CgroupPlaces& places, pid_t keeper);

// Ends what is in a killed keeper's group and removes it. Only directories named cloister-`keeper`.
void RemoveLeftOverCgroups(const std::vector<std::string>& directories, pid_t keeper);

// What a group has that no worker with a word about its CPU was ever in: one core.
inline constexpr std::uint64_t kCpuWithoutWord = 1000;

// What the workers of each group add up to. Pure.
class GroupLedger {
 public:
  // The ceilings of the group with this worker in it. Memory and processes add up. CPU is the
  // app's: of those that have a word about it the one that came last holds, and when it has gone,
  // the one before it.
  GroupLimits Join(const std::string& group, const GroupLimits& worker);
  // The ceilings without it; `empty` when nobody is left, and the group is forgotten.
  struct Left {
    bool empty = false;
    GroupLimits limits;
  };
  Left Leave(const std::string& group, const GroupLimits& worker);

 private:
  struct Entry {
    std::size_t workers = 0;
    GroupLimits limits;
    std::vector<std::uint64_t> cpu_words;  // in the order of joining
  };

  std::map<std::string, Entry> groups_;
};

}  // namespace cloister
