#include "daemon/cli/turn.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "daemon/cli/app_ref.h"
#include "daemon/cli/follow.h"
#include "daemon/cli/progress.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// It did not get there: the release stays what it was.
Failure NotLive(const Json& release) {
  if (!TextOf(ObjectOf(release, "report"), "code").empty())
    return RejectionOf(release);
  return {ExitCode::kFailed, "interrupted", "the node was replaced before the release was live", "",
          "the release that was live serves on: try again"};
}

void Conclude(Console& console, const AppName& app, const Json& answer, const std::string& former,
              Millis elapsed) {
  const Json& release = ObjectOf(answer, "release");
  const std::string version = TextOf(release, "version");
  if (TextOf(release, "state") != "live")
    return console.Line(app.ToString() + ": the canary " + version + " gets no more requests; " +
                        former + " gets all");
  if (former == version)
    return console.Line(app.ToString() + " " + version + " is live already");
  console.Line(fmt::format("{} {} is live after {}{}: {}", app.ToString(), version,
                           FormatDuration(elapsed), former.empty() ? "" : " (was " + former + ")",
                           console.Colour(Paint::kBold, TextOf(release, "url"))));
}

// What a rollback has changed beside the release.
void TellConfig(Console& console, const Json& config) {
  std::string names;
  for (const Json& name : ListOf(config, "names"))
    if (name.is_string())
      names += (names.empty() ? "" : ", ") + Harmless(name.get_ref<const std::string&>());
  if (!names.empty())
    console.Line(
        fmt::format("  config {} is in force, with the plain values of config {} ({}); "
                    "secrets stay as they were",
                    NumberOf(config, "version"), NumberOf(config, "as_in"), names));
}

Attempt<void> Turn(AdminApi& api, Console& console, const std::string& app_text,
                   const std::string& version, const char* verb) {
  const SystemClock clock;
  const MonotonicTime started = clock.Now();
  const AppName app = TRY(ResolveApp(api, app_text));
  Json body = Json::object();
  if (!version.empty())
    body["version"] = version;
  Json answer = TRY(api.Post(AppTarget(app, std::string("/") + verb), body));
  const std::string former = TextOf(answer, "former");
  const Json config = ObjectOf(answer, "config");
  if (const Json release = ObjectOf(answer, "release"); FlagOf(release, "under_way")) {
    answer = TRY(FollowRelease(api, app, release, LastStep(release), console));
    if (TextOf(ObjectOf(answer, "release"), "state") != "live")
      return NotLive(ObjectOf(answer, "release"));
  }
  const auto elapsed = std::chrono::duration_cast<Millis>(clock.Now() - started);
  Conclude(console, app, answer, former, elapsed);
  TellConfig(console, config);
  if (console.json())
    console.Raw(Dump({{"app", app.ToString()},
                      {"former", former},
                      {"elapsed_ms", elapsed.count()},
                      {"config", config},
                      {"release", ObjectOf(answer, "release")}}) +
                "\n");
  return {};
}

}  // namespace

Attempt<void> Rollback(AdminApi& api, Console& console, const std::string& app,
                       const std::string& version) {
  return Turn(api, console, app, version, "rollback");
}

Attempt<void> Promote(AdminApi& api, Console& console, const std::string& app,
                      const std::string& version) {
  return Turn(api, console, app, version, "promote");
}

}  // namespace cloister
