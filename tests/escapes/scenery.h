#pragma once

// What stands in the arena for the host: files, sockets, keys, shared memory, names. Runs as the
// arena's first process, in its namespaces.

#include <sys/types.h>

#include "apis/base/result.h"
#include "tests/escapes/arena.h"

namespace cloister {

// The arena's user, told from outside: in a new user namespace one's own uid is not to be seen.
struct SceneryIds {
  ArenaMode mode = ArenaMode::kSharedUid;
  uid_t user = 0;
  gid_t group = 0;
  uid_t worker = 0;
};

// Fills in all of `facts` but the victim.
Result<void> BuildScenery(const SceneryIds& ids, ArenaFacts& facts);

}  // namespace cloister
