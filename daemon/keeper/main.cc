// cloisterd: what the operator starts. Reads settings, prepares the ground, and keeps the node,
// the zygote and the workers running until it is told to stop.

#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "apis/base/log.h"
#include "apis/base/result.h"
#include "config/render.h"
#include "config/settings.h"
#include "daemon/keeper/ground.h"
#include "daemon/keeper/keeper.h"
#include "daemon/keeper/options.h"
#include "sandbox/steps/policy_text.h"

namespace cloister {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

int Fail(const Error& error, int status = kFailed) {
  (void)std::fprintf(stderr, "cloisterd: %s\n", error.message.c_str());
  return status;
}

int Print(const std::string& text) {
  return std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0 ? kFailed : 0;
}

Result<void> RunNode(const Settings& settings, const KeeperOptions& options) {
  // Whatever our starter left open is not ours to hand on.
  if (::close_range(STDERR_FILENO + 1, ~0U, 0) != 0)
    return SystemError("close_range");
  OpenLog("cloisterd", settings.node.log_level);
  Ground ground = TRY(PrepareGround(settings));
  Keeper keeper(std::move(ground), [options] { return SettingsFor(options); });
  return keeper.Run();
}

int Main(const std::vector<std::string>& arguments) {
  const Result<KeeperOptions> options = ParseKeeperOptions(arguments);
  if (!options.ok())
    return Fail(options.error(), kUsage);
  switch (options.value().action) {
    case KeeperAction::kHelp:
      return Print(KeeperHelp());
    case KeeperAction::kVersion:
      return Print("cloisterd " CLOISTER_VERSION "\n");
    case KeeperAction::kPrintPolicy:
      return Print(RenderPolicy());
    case KeeperAction::kCheckConfig:
    case KeeperAction::kPrintSettings:
    case KeeperAction::kRun:
      break;
  }
  const Result<Settings> settings = SettingsFor(options.value());
  if (!settings.ok())
    return Fail(settings.error());
  if (options.value().action == KeeperAction::kCheckConfig)
    return Print("the settings are fine\n");
  if (options.value().action == KeeperAction::kPrintSettings)
    return Print(RenderSettings(settings.value()));
  const Result<void> ran = RunNode(settings.value(), options.value());
  return ran.ok() ? 0 : Fail(ran.error());
}

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  return cloister::Main(std::vector<std::string>(argv + 1, argv + argc));
}
