#include "daemon/keeper/options.h"

#include <unistd.h>

#include <filesystem>
#include <map>
#include <system_error>

#include "config/parser.h"
#include "config/validate.h"

namespace cloister {
namespace {

const std::map<std::string, KeeperAction>& Actions() {
  static const auto* actions = new std::map<std::string, KeeperAction>{
      {"--check-config", KeeperAction::kCheckConfig},
      {"--print-settings", KeeperAction::kPrintSettings},
      {"--print-policy", KeeperAction::kPrintPolicy},
      {"--help", KeeperAction::kHelp},
      {"-h", KeeperAction::kHelp},
      {"--version", KeeperAction::kVersion},
  };
  return *actions;
}

}  // namespace

Result<KeeperOptions> ParseKeeperOptions(const std::vector<std::string>& arguments) {
  KeeperOptions options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    // Both `--flag value` and `--flag=value`.
    const std::size_t equals = arguments[i].find('=');
    const std::string flag = arguments[i].substr(0, equals);
    if (const auto action = Actions().find(arguments[i]); action != Actions().end()) {
      options.action = action->second;
      continue;
    }
    if (flag != "--config" && flag != "--state-dir" && flag != "--listen")
      return Error{ErrorCode::kInvalidArgument,
                   "unknown argument '" + arguments[i] + "'; cloisterd --help lists all"};
    if (equals == std::string::npos && i + 1 == arguments.size())
      return Error{ErrorCode::kInvalidArgument, flag + " needs a value"};
    const std::string value =
        equals == std::string::npos ? arguments[++i] : arguments[i].substr(equals + 1);
    if (flag == "--config")
      options.config = value;
    else if (flag == "--state-dir")
      options.state_dir = value;
    else
      options.listen.push_back(value);
  }
  return options;
}

Result<Settings> SettingsFor(const KeeperOptions& options) {
  Settings settings;
  if (options.config)
    settings = TRY(LoadSettings(*options.config));
  else if (::access(kDefaultConfig, F_OK) == 0)
    settings = TRY(LoadSettings(kDefaultConfig));
  if (options.state_dir) {
    std::error_code failed;
    settings.node.state_dir = std::filesystem::absolute(*options.state_dir, failed).string();
    if (failed)
      return Error{ErrorCode::kInvalidArgument, "--state-dir: " + failed.message()};
  }
  if (!options.listen.empty())
    settings.http.listen = options.listen;
  TRY(ValidateSettings(settings));
  return settings;
}

std::string KeeperHelp() {
  return R"(usage: cloisterd [--config FILE] [--state-dir DIR] [--listen ADDR]...

Runs a Cloister node in the foreground. Logs to standard error.

  --config FILE      settings; without it /etc/cloister/cloisterd.toml where it exists
  --state-dir DIR    overrides node.state_dir: everything that the node keeps
  --listen ADDR      overrides http.listen: IPV4:PORT or [IPV6]:PORT; may be repeated
  --check-config     reads and checks the settings, then exits: 0 fine, 1 not
  --print-settings   prints the effective settings as a file with comments
  --print-policy     prints which system calls a worker may make, and why
  --help, --version

Signals: SIGTERM and SIGINT finish accepted requests (node.stop_grace), a second one ends at once.
SIGHUP reads the settings again and starts a new node process on the same listeners; the old one
finishes what it accepted.

Exit status: 0 stopped as asked, 1 failed, 2 wrong usage.
)";
}

}  // namespace cloister
