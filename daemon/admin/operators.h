#pragma once

// Who may use the admin socket: root, the node's own user, the keeper's user, and the members of
// one group. Decided from the peer's credentials, which the kernel vouches for.
//
// Group membership comes from the system's databases and is remembered for ten seconds, so that a
// client that polls does not ask them each time. Runs on the loop thread.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "apis/base/clock.h"

namespace cloister {

class Operators {
 public:
  // `uids` beside root; `group` may be the name of a group that does not exist, or empty.
  Operators(const Clock& clock, std::set<std::uint32_t> uids, std::string group);

  bool Allows(std::uint32_t uid, std::uint32_t gid);

 private:
  struct Answer {
    bool member = false;
    MonotonicTime until;
  };

  bool IsMember(std::uint32_t uid, std::uint32_t gid) const;

  const Clock& clock_;
  std::set<std::uint32_t> uids_;
  std::string group_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Answer> answers_;
};

}  // namespace cloister
