#include "daemon/cli/turn.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <iostream>
#include <vector>

#include <nlohmann/json.hpp>

#include "apis/base/time_text.h"
#include "daemon/cli/app_ref.h"
#include "daemon/cli/follow.h"
#include "daemon/cli/progress.h"
#include "daemon/cli/row_counts.h"

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

std::string Since(const Json& snapshot, const Json& preview) {
  const Result<WallTime> taken = ParseTime(TextOf(snapshot, "taken_at"));
  const Result<WallTime> now = ParseTime(TextOf(preview, "now"));
  if (!taken.ok() || !now.ok() || now.value() < taken.value())
    return "";
  return " (" + FormatDuration(std::chrono::duration_cast<Millis>(now.value() - taken.value())) +
         " ago)";
}

// By the rows of its tables. Whoever goes back because the database is broken is not kept from it.
void TellRows(AdminApi& api, Console& console, const AppName& app, std::uint64_t snapshot) {
  const Attempt<RowCounts> now = CountRows(api, {.app = app});
  const Attempt<RowCounts> then = CountRows(api, {.app = app, .snapshot = snapshot});
  for (const Attempt<RowCounts>* each : {&now, &then})
    if (!each->ok())
      return console.Note("  rows      not counted: " + each->error().what);
  for (const std::string& line : CompareRows(now.value(), then.value()))
    console.Note("  " + line);
}

// Says what would be lost, and asks where somebody can answer. The snapshot that was shown.
Attempt<std::uint64_t> Confirm(AdminApi& api, Console& console, const AppName& app,
                               const TurnWish& wish) {
  const std::string query = wish.version.empty() ? "" : "?version=" + PercentEncoded(wish.version);
  const Json preview = TRY(api.Get(AppTarget(app, "/rollback" + query)));
  const Json& snapshot = ObjectOf(preview, "snapshot");
  console.Note(fmt::format(
      "{} goes back to {}, and its database to snapshot {}:\n"
      "  taken     {}{}, {}\n"
      "  it has    {}\n"
      "  now       {}: what was written since is no longer the app's; it becomes a snapshot",
      app.ToString(), TextOf(preview, "version"), NumberOf(snapshot, "number"),
      TextOf(snapshot, "taken_at"), Since(snapshot, preview), Harmless(TextOf(snapshot, "reason")),
      FormatBytes(NumberOf(snapshot, "bytes")), FormatBytes(NumberOf(preview, "database_bytes"))));
  if (wish.yes)
    return NumberOf(snapshot, "number");
  if (!console.json())
    TellRows(api, console, app, NumberOf(snapshot, "number"));
  if (::isatty(STDIN_FILENO) != 1 || console.json())
    return Failure{ExitCode::kUsage, "confirmation_needed",
                   "what was written since the snapshot would be lost", "",
                   "say --yes if that is meant"};
  console.Note("Go back? Type yes:");
  std::string answer;
  std::getline(std::cin, answer);
  if (answer != "yes" && answer != "y")
    return Failure{ExitCode::kRefused, "confirmation_needed", "nothing was changed", "", ""};
  return NumberOf(snapshot, "number");
}

Attempt<void> Turn(AdminApi& api, Console& console, const TurnWish& wish, const char* verb) {
  const SystemClock clock;
  const AppName app = TRY(ResolveApp(api, wish.app));
  Json body = Json::object();
  if (!wish.version.empty())
    body["version"] = wish.version;
  if (wish.with_data) {
    body["snapshot"] = TRY(Confirm(api, console, app, wish));
    body["with_data"] = true;
  }
  const MonotonicTime started = clock.Now();
  Json answer = TRY(api.Post(AppTarget(app, std::string("/") + verb), body));
  // 0 is a number of one: of the database that the app began with.
  const Json snapshot = answer.value("snapshot", Json());
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
  if (snapshot.is_number_unsigned())
    console.Line(
        fmt::format("  its database is that of snapshot {}; `cloister snapshots {}` has "
                    "the one that was replaced",
                    snapshot.get<std::uint64_t>(), app.ToString()));
  if (console.json())
    console.Raw(Dump({{"app", app.ToString()},
                      {"former", former},
                      {"elapsed_ms", elapsed.count()},
                      {"config", config},
                      {"snapshot", snapshot},
                      {"release", ObjectOf(answer, "release")}}) +
                "\n");
  return {};
}

}  // namespace

Attempt<void> Rollback(AdminApi& api, Console& console, const TurnWish& wish) {
  return Turn(api, console, wish, "rollback");
}

Attempt<void> Promote(AdminApi& api, Console& console, const TurnWish& wish) {
  return Turn(api, console, wish, "promote");
}

Attempt<void> ListSnapshots(AdminApi& api, Console& console, const TurnWish& wish) {
  const AppName app = TRY(ResolveApp(api, wish.app));
  const Json answer = TRY(api.Get(AppTarget(app, "/snapshots")));
  if (console.json())
    console.Raw(Dump(answer) + "\n");
  std::vector<std::vector<std::string>> rows;
  for (const Json& snapshot : ListOf(answer, "snapshots"))
    rows.push_back({std::to_string(NumberOf(snapshot, "number")), TextOf(snapshot, "version"),
                    TextOf(snapshot, "taken_at"), FormatBytes(NumberOf(snapshot, "bytes")),
                    Harmless(TextOf(snapshot, "reason"))});
  if (rows.empty())
    console.Line("no snapshots of " + app.ToString());
  else
    console.Table({"SNAPSHOT", "VERSION", "TAKEN", "SIZE", "WHY"}, rows);
  return {};
}

}  // namespace cloister
