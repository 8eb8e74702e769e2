#include "daemon/cli/modules.h"

#include <vector>

#include <nlohmann/json.hpp>

#include "config/versions.h"
#include "daemon/cli/app_ref.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// Of a hash, so many digits tell two files apart for people; --json has them all.
constexpr std::size_t kDigitsShown = 16;

std::string Joined(const Json& names) {
  std::string joined;
  for (const Json& name : names)
    if (name.is_string())
      joined += (joined.empty() ? "" : ", ") + name.get<std::string>();
  return joined.empty() ? "none" : Harmless(joined);
}

Attempt<void> ShowLists(AdminApi& api, Console& console) {
  const Json answer = TRY(api.Get("/v1/modules"));
  if (console.json())
    console.Raw(Dump(answer) + "\n");
  console.Line("denied:   " + Joined(ListOf(answer, "deny")));
  console.Line("allowed:  " + Joined(ListOf(answer, "allow")) + " (exceptions to the denied ones)");
  for (const Json& name : ListOf(answer, "unknown"))
    if (name.is_string())
      console.Line("unknown:  " + Harmless(name.get<std::string>()));
  console.Line("change:   " + Harmless(TextOf(answer, "change")));
  return {};
}

}  // namespace

Attempt<void> ListModules(AdminApi& api, Console& console, const std::string& app,
                          const std::string& version) {
  if (app.empty())
    return ShowLists(api, console);
  std::string target = "/modules";
  if (!version.empty()) {
    if (Result<Version> parsed = Version::Parse(version); !parsed.ok())
      return FailureOf(std::move(parsed).error(), "version_invalid", ExitCode::kUsage);
    target += "?version=" + version;
  }
  const AppName name = TRY(ResolveApp(api, app));
  const Json answer = TRY(api.Get(AppTarget(name, target)));
  if (console.json())
    console.Raw(Dump(answer) + "\n");
  std::vector<std::vector<std::string>> rows;
  for (const Json& module : ListOf(answer, "modules")) {
    const std::string sha256 = TextOf(module, "sha256").substr(0, kDigitsShown);
    rows.push_back({Harmless(TextOf(module, "name")), Harmless(TextOf(module, "origin")),
                    Harmless(TextOf(module, "release")), sha256.empty() ? "-" : Harmless(sha256)});
  }
  console.Table({"MODULE", "ORIGIN", "RELEASE", "SHA-256"}, rows);
  return {};
}

}  // namespace cloister
