#pragma once

// What the keeper may do on this host, and giving up what it and its children do not need.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"

namespace cloister {

// Who the other processes run as.
struct Identities {
  // True: node and zygote have uids of their own, each worker gets one from the range. False: all
  // run with the keeper's uid; `reason` says why.
  bool separate = false;
  std::string reason;
  uid_t node_uid = 0;
  uid_t zygote_uid = 0;
  uid_t cache_uid = 0;
  uid_t worker_uid_base = 0;
  std::uint32_t worker_uid_count = 0;
};

// Uids of the range that are not workers': the node's, the zygote's, the cache server's, and room
// for later programs.
inline constexpr std::uint32_t kReservedUids = 16;

// Decides by the capabilities that we have and the id maps that we live in.
Identities FindIdentities(std::uint32_t uid_base, std::uint32_t uid_count);

// Whether [first, first + count) lies inside one line of an id map (the text of
// /proc/self/uid_map).
bool IdMapHolds(std::string_view map, std::uint32_t first, std::uint32_t count);

// Capabilities of the zygote (to give each worker its uid) and, while it runs, of the keeper.
std::vector<int> ZygoteCapabilities(const Identities& identities);
std::vector<int> KeeperCapabilities(const Identities& identities);

// Drops every capability but these from this process, for good.
Result<void> LimitCapabilities(const std::vector<int>& kept);

// For the time between fork and exec: drops every capability but these, which survive the exec.
// Does not allocate; errno says why not.
bool KeepForExec(const std::vector<int>& kept);

}  // namespace cloister
