#pragma once

// The command line of cloisterd.

#include <optional>
#include <string>
#include <vector>

#include "apis/base/result.h"
#include "config/settings.h"

namespace cloister {

enum class KeeperAction {
  kRun,
  kCheckConfig,
  kPrintSettings,
  kPrintPolicy,
  kHelp,
  kVersion,
};

struct KeeperOptions {
  KeeperAction action = KeeperAction::kRun;
  std::optional<std::string> config;     // none: kDefaultConfig where it exists, else the defaults
  std::optional<std::string> state_dir;  // as given
  std::vector<std::string> listen;       // replaces http.listen
};

inline constexpr const char* kDefaultConfig = "/etc/cloister/cloisterd.toml";

// kInvalidArgument for an unknown flag or a missing value.
Result<KeeperOptions> ParseKeeperOptions(const std::vector<std::string>& arguments);

// The settings of the file with the command line's on top, checked as a whole.
Result<Settings> SettingsFor(const KeeperOptions& options);

std::string KeeperHelp();

}  // namespace cloister
