#include "daemon/cli/release_commands.h"

#include <fmt/format.h>

#include <vector>

#include <nlohmann/json.hpp>

#include "config/versions.h"
#include "daemon/cli/app_ref.h"
#include "daemon/cli/progress.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

Attempt<Version> ParseVersion(const std::string& text) {
  Result<Version> version = Version::Parse(text);
  if (!version.ok())
    return FailureOf(std::move(version).error(), "version_invalid", ExitCode::kUsage);
  return std::move(version).value();
}

// All that a large node stores is read and hashed.
constexpr Millis kVerifyWait{24 * 3600 * 1000};

std::string Counts(const Json& report) {
  std::string text;
  for (const std::string what : {"app", "release", "file", "secret", "object"})
    text += (text.empty() ? "" : ", ") + CountText(NumberOf(report, (what + "s").c_str()), what);
  return text;
}

void ShowDamages(Console& console, const Json& found) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& damage : found)
    rows.push_back(
        {TextOf(damage, "app"), Harmless(TextOf(damage, "version")),
         NumberOf(damage, "release") == 0 ? "-" : std::to_string(NumberOf(damage, "release")),
         Harmless(TextOf(damage, "file")), Harmless(TextOf(damage, "what"))});
  if (!rows.empty())
    console.Table({"APP", "VERSION", "ID", "FILE", "WHAT"}, rows);
}

void ShowObjectDamages(Console& console, const Json& found) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& damage : found)
    rows.push_back({TextOf(damage, "app"), TextOf(damage, "id"), Harmless(TextOf(damage, "what"))});
  if (!rows.empty())
    console.Table({"APP", "OBJECT", "WHAT"}, rows);
}

Failure ObjectsDamaged(const Console& console, const Json& report) {
  return Failure{ExitCode::kFailed,
                 "integrity_error",
                 fmt::format("{} objects of apps are damaged", NumberOf(report, "object_damages")),
                 Counts(report),
                 "the app gets an error where it reads one; restore it from a backup, or remove it "
                 "and have the app write it again",
                 console.json()};
}

Failure Damaged(const Console& console, const Json& report) {
  if (NumberOf(report, "damaged_releases") == 0)
    return Failure{
        ExitCode::kFailed,
        "config_unreadable",
        fmt::format("{} of {} secrets do not open", NumberOf(report, "sealed"),
                    NumberOf(report, "secrets")),
        Counts(report),
        "workers of these apps cannot start; put the node's key back, or set all secrets "
        "of each app in one command: `cloister secrets set APP KEY KEY...`",
        console.json()};
  return Failure{
      ExitCode::kFailed,
      "integrity_error",
      fmt::format("{} of {} releases are damaged", NumberOf(report, "damaged_releases"),
                  NumberOf(report, "releases")),
      fmt::format("{} damages in {}", NumberOf(report, "damages"), Counts(report)),
      "a damaged release does not run; restore the node's state from a backup, or deploy the app "
      "again under a new version after changing the damaged files",
      console.json()};
}

}  // namespace

Attempt<void> PinRelease(AdminApi& api, Console& console, const PinWish& wish) {
  TRY(ParseVersion(wish.version));
  const AppName app = TRY(ResolveApp(api, wish.app));
  const std::string target = AppTarget(app, "/pins/" + wish.version);
  const bool pin = wish.mode == PinMode::kPin;
  TRY(pin ? api.Post(target, Json::object()) : api.Delete(target));
  if (console.json())
    console.Raw(Dump({{"app", app.ToString()}, {"version", wish.version}, {"pinned", pin}}) + "\n");
  console.Line((pin ? "pinned " : "unpinned ") + app.ToString() + "@" + wish.version);
  return {};
}

Attempt<void> VerifyStore(AdminApi& api, Console& console, const std::string& app) {
  std::string target = "/v1/verify";
  if (!app.empty())
    target += "?app=" + TRY(ResolveApp(api, app)).ToString();
  const Json report = TRY(api.Get(target, kVerifyWait));
  if (console.json())
    console.Raw(Dump(report) + "\n");
  ShowDamages(console, ListOf(report, "found"));
  ShowObjectDamages(console, ListOf(report, "found_objects"));
  if (NumberOf(report, "damages") > 0)
    return Damaged(console, report);
  if (NumberOf(report, "object_damages") > 0)
    return ObjectsDamaged(console, report);
  if (const std::string trouble = TextOf(report, "query_key"); !trouble.empty())
    return Failure{ExitCode::kFailed,
                   "query_key_missing",
                   "apps do not find their databases on the SQL server",
                   trouble,
                   "no restart is needed when the file is there; without the key the databases are "
                   "lost to the node",
                   console.json()};
  console.Line(Counts(report) + ": all as they were received");
  return {};
}

Attempt<void> CompareVersions(Console& console, const VersionPair& versions) {
  const Version a = TRY(ParseVersion(versions.a));
  const Version b = TRY(ParseVersion(versions.b));
  const int order = (a > b ? 1 : 0) - (a < b ? 1 : 0);
  if (console.json())
    console.Raw(Dump({{"a", a.text()}, {"b", b.text()}, {"order", order}}) + "\n");
  const char* sign = order < 0 ? " < " : " > ";
  console.Line(a.text() + (order == 0 ? " = " : sign) + b.text());
  return {};
}

}  // namespace cloister
