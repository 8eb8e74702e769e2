#pragma once

// `cloister rollback` and `cloister promote`: another release is to serve; `cloister snapshots`:
// which data there is to go back to.

#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

struct TurnWish {
  std::string app;
  // Empty: the release that was live before; or, while there is a canary, no canary.
  std::string version;
  bool with_data = false;  // of a rollback
  bool yes = false;        // what came since may be lost
};

Attempt<void> Rollback(AdminApi& api, Console& console, const TurnWish& wish);
Attempt<void> Promote(AdminApi& api, Console& console, const TurnWish& wish);
Attempt<void> ListSnapshots(AdminApi& api, Console& console, const TurnWish& wish);

}  // namespace cloister
