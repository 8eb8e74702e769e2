#pragma once

// `cloister backup`: a running node's state, databases and objects, as a directory.

#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

struct BackupWish {
  std::string folder;     // that is made
  bool node_key = false;  // node.key comes along
};

Attempt<void> BackUp(AdminApi& api, Console& console, const BackupWish& wish);

}  // namespace cloister
