#pragma once

// `cloister restore`: a backup becomes the state directory of a node that does not run.
//
// Each piece is compared with its hash while it is copied. Until all of it is there the directory
// says that it is unfinished, and no node starts on it.

#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

struct RestoreWish {
  std::string folder;     // the backup
  std::string config;     // settings file; empty: the default one, where it is there
  std::string state_dir;  // empty: as the settings say
  bool check = false;     // only compare the backup with its hashes
};

Attempt<void> Restore(AdminApi& api, Console& console, const RestoreWish& wish);

}  // namespace cloister
