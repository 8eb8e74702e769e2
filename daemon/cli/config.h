#pragma once

// `cloister config` and `cloister secrets`: the config of an app.
//
// A change is followed as a deploy is: booted and checked with the new values, then in force, or
// not, with the reason. The value of a secret comes from stdin or a prompt, never from an argument,
// which other users of the machine can see.

#include <string>
#include <vector>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

enum class ConfigKeys { kPlain, kSecrets };

struct ConfigWish {
  ConfigKeys keys = ConfigKeys::kPlain;
  std::string app = {};
  std::vector<std::string> words = {};  // KEY=VALUE each for SetConfig of plain ones, else names
  std::string version = {};             // to roll back to; empty: the one before
  bool no_wait = false;                 // the change is stored, and walked to without us
};

Attempt<void> ListConfig(AdminApi& api, Console& console, const ConfigWish& wish);
Attempt<void> SetConfig(AdminApi& api, Console& console, const ConfigWish& wish);
Attempt<void> UnsetConfig(AdminApi& api, Console& console, const ConfigWish& wish);
Attempt<void> ShowConfigHistory(AdminApi& api, Console& console, const ConfigWish& wish);
Attempt<void> RollbackConfig(AdminApi& api, Console& console, const ConfigWish& wish);

}  // namespace cloister
