#include "daemon/cli/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include <nlohmann/json.hpp>

#include "daemon/cli/app_ref.h"
#include "daemon/cli/follow.h"
#include "daemon/cli/progress.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// How a member of a row is shown.
enum class Show { kText, kBytes, kMillis, kState, kFlag };

struct Column {
  const char* title = "";
  const char* key = "";
  Show show = Show::kText;
};

std::string Plain(const Json& value) {
  if (value.is_string())
    return Harmless(value.get<std::string>());
  return value.is_null() ? "-" : Dump(value);
}

std::string StateText(const Console& console, const std::string& state) {
  if (state == "live")
    return console.Colour(Paint::kGreen, state);
  return state == "rejected" || state.ends_with("crashing") ? console.Colour(Paint::kRed, state)
                                                            : state;
}

std::string Cell(const Console& console, const Json& row, const Column& column) {
  if (!row.is_object() || !row.contains(column.key))
    return "-";
  switch (column.show) {
    case Show::kText:
      return Plain(row[column.key]);
    case Show::kBytes:
      return FormatBytes(NumberOf(row, column.key));
    case Show::kMillis:
      return FormatDuration(Millis(static_cast<std::int64_t>(NumberOf(row, column.key))));
    case Show::kState:
      return StateText(console, TextOf(row, column.key));
    case Show::kFlag:
      return row[column.key] == true ? "yes" : "-";
  }
  return "";
}

void ShowRows(Console& console, const Json& rows, std::span<const Column> columns,
              const std::string& when_empty) {
  if (rows.empty()) {
    console.Note(when_empty);
    return;
  }
  std::vector<std::string> titles;
  for (const Column& column : columns)
    titles.emplace_back(column.title);
  std::vector<std::vector<std::string>> cells;
  for (const Json& row : rows) {
    cells.emplace_back();
    for (const Column& column : columns)
      cells.back().push_back(Cell(console, row, column));
  }
  console.Table(titles, cells);
}

// Everything in an object, one line a value; inner objects further in.
void ShowMembers(Console& console, const Json& object, const std::string& indent) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = indent + Harmless(key);
    if (value.is_object()) {
      console.Line(name);
      ShowMembers(console, value, indent + "  ");
    } else if (value.is_array()) {
      std::string list;
      for (const Json& item : value)
        list += (list.empty() ? "" : ", ") + Plain(item);
      console.Line(fmt::format("{:<28}{}", name, list.empty() ? "-" : list));
    } else {
      console.Line(fmt::format("{:<28}{}", name, Plain(value)));
    }
  }
}

// In JSON format: the answer, and true.
bool ShownAsJson(Console& console, const Json& answer) {
  if (console.json())
    console.Raw(Dump(answer) + "\n");
  return console.json();
}

Attempt<void> CheckTenantName(const std::string& name) {
  if (!IsValidName(name))
    return Failure{ExitCode::kUsage, "name_invalid", "'" + name + "' cannot name a tenant",
                   "a name starts with a letter a-z, continues with a-z, 0-9 or '-', and has at "
                   "most 30 characters",
                   ""};
  return {};
}

// A release as a row of `cloister releases`: what is more than its members.
Json CensusRow(const Json& release) {
  Json row = release;
  std::string state = TextOf(release, "state");
  if (state == "canary")
    state += " " + std::to_string(NumberOf(release, "canary_percent")) + "%";
  if (NumberOf(release, "backing_off_ms") > 0)
    state += ", crashing";
  row["state"] = state;
  const Json& running = ListOf(release, "running");
  std::string pins = running.empty() ? "-" : std::to_string(running.size()) + " running";
  if (!running.empty())
    pins += ": " + TextOf(running[0], "request") + " for " +
            FormatDuration(Millis(static_cast<std::int64_t>(NumberOf(running[0], "age_ms"))));
  row["pinned_by"] = pins;
  return row;
}

const char* ForceQuery(Deletion mode) {
  return mode == Deletion::kWithContents ? "?force=1" : "";
}

// What went with an app.
std::string WithIt(const Json& deleted) {
  std::string text = " with " + CountText(NumberOf(deleted, "releases"), "release");
  if (const std::uint64_t objects = NumberOf(deleted, "objects"); objects > 0)
    text += ", " + CountText(objects, "object") + " (" +
            FormatBytes(NumberOf(deleted, "object_bytes")) + ")";
  if (const std::uint64_t tables = NumberOf(deleted, "database_tables"); tables > 0)
    text += ", its database (" + CountText(tables, "table") + ")";
  else if (const std::uint64_t bytes = NumberOf(deleted, "database_bytes"); bytes > 0)
    text += ", its database (" + FormatBytes(bytes) + ")";
  if (const std::uint64_t keys = NumberOf(deleted, "config_keys"); keys > 0)
    text += ", its config (" + CountText(keys, "key") + ")";
  return text + " and its log";
}

// Why it was rejected, or did not go live again; one line.
std::string ReasonOf(const Json& release) {
  constexpr std::size_t kShownMax = 100;
  const Json& report = ObjectOf(release, "report");
  const std::string code = TextOf(report, "code");
  if (code.empty())
    return "";
  std::string message = RejectionOf(release).what;
  message.resize(std::min(message.find('\n'), message.size()));
  const bool cut = message.size() > kShownMax;
  return code + ": " + message.substr(0, kShownMax) + (cut ? "..." : "");
}

}  // namespace

Attempt<void> CreateTenant(AdminApi& api, Console& console, const std::string& name) {
  TRY(CheckTenantName(name));
  const Json answer = TRY(api.Post("/v1/tenants", {{"name", name}}));
  if (!ShownAsJson(console, answer))
    console.Line("created the tenant " + name);
  return {};
}

Attempt<void> ListTenants(AdminApi& api, Console& console) {
  const Json answer = TRY(api.Get("/v1/tenants"));
  static constexpr Column kColumns[] = {
      {"TENANT", "name"}, {"APPS", "apps"}, {"CREATED", "created_at"}};
  if (!ShownAsJson(console, answer))
    ShowRows(console, ListOf(answer, "tenants"), kColumns,
             "no tenants; make one with `cloister tenants create NAME`");
  return {};
}

Attempt<void> DeleteTenant(AdminApi& api, Console& console, const std::string& name,
                           Deletion mode) {
  TRY(CheckTenantName(name));
  TRY(api.Delete(TenantTarget(name, ForceQuery(mode))));
  if (!ShownAsJson(console, {{"deleted", name}}))
    console.Line("deleted the tenant " + name);
  return {};
}

Attempt<void> CreateApp(AdminApi& api, Console& console, const std::string& app) {
  const AppName name = TRY(ResolveApp(api, app));
  const Json answer = TRY(api.Post(TenantTarget(name.tenant(), "/apps"), {{"name", name.app()}}));
  if (!ShownAsJson(console, answer))
    console.Line("created the app " + name.ToString());
  return {};
}

Attempt<void> ListApps(AdminApi& api, Console& console, const std::string& tenant) {
  if (!tenant.empty())
    TRY(CheckTenantName(tenant));
  const std::string target = tenant.empty() ? "/v1/apps" : TenantTarget(tenant, "/apps");
  const Json answer = TRY(api.Get(target));
  static constexpr Column kColumns[] = {{"APP", "app"},
                                        {"LIVE", "live"},
                                        {"CANARY", "canary"},
                                        {"URL", "url"},
                                        {"CREATED", "created_at"}};
  if (!ShownAsJson(console, answer))
    ShowRows(console, ListOf(answer, "apps"), kColumns,
             "no apps; `cloister deploy` makes the first one");
  return {};
}

Attempt<void> ShowApp(AdminApi& api, Console& console, const std::string& app) {
  const AppName name = TRY(ResolveApp(api, app));
  const Json answer = TRY(api.Get(AppTarget(name)));
  if (ShownAsJson(console, answer))
    return {};
  Json shown = ObjectOf(answer, "app").is_object() ? ObjectOf(answer, "app") : answer;
  if (const std::uint64_t config = NumberOf(shown, "config"); config > 0)
    shown["config"] = fmt::format("version {}: `cloister config list {}`", config, name.ToString());
  else
    shown["config"] = "none";
  ShowMembers(console, shown, "");
  return {};
}

Attempt<void> DeleteApp(AdminApi& api, Console& console, const std::string& app, Deletion mode) {
  const AppName name = TRY(ResolveApp(api, app));
  const Json answer = TRY(api.Delete(AppTarget(name, ForceQuery(mode))));
  if (!ShownAsJson(console, answer))
    console.Line("deleted the app " + name.ToString() + WithIt(answer));
  return {};
}

Attempt<void> ListReleases(AdminApi& api, Console& console, const std::string& app,
                           ReleaseList list) {
  const AppName name = TRY(ResolveApp(api, app));
  const char* target = list == ReleaseList::kAll ? "/releases?all=1" : "/releases";
  const Json answer = TRY(api.Get(AppTarget(name, target)));
  static constexpr Column kColumns[] = {{"VERSION", "version"},
                                        {"ATTEMPT", "attempt"},
                                        {"STATE", "state", Show::kState},
                                        {"SINCE", "since"},
                                        {"WORKERS", "workers"},
                                        {"MEMORY", "memory_bytes", Show::kBytes},
                                        {"RUNNING", "pinned_by"},
                                        {"PINNED", "pinned", Show::kFlag},
                                        {"ID", "id"},
                                        {"WHY", "why"}};
  if (ShownAsJson(console, answer))
    return {};
  Json rows = Json::array();
  bool crashing = false;
  bool has_reasons = false;
  for (const Json& release : ListOf(answer, "releases")) {
    rows.push_back(CensusRow(release));
    const std::string why = ReasonOf(release);
    rows.back()["why"] = why;
    has_reasons = has_reasons || !why.empty();
    crashing = crashing || NumberOf(release, "backing_off_ms") > 0;
  }
  for (const Json& collected : ListOf(answer, "collected"))
    rows.push_back(collected);
  ShowRows(console, rows, std::span(kColumns).first(std::size(kColumns) - (has_reasons ? 0 : 1)),
           "no releases of " + name.ToString() + "; make one with `cloister deploy`");
  if (has_reasons)
    console.Note("The whole reports, with tracebacks and advice: cloister releases " +
                 name.ToString() + " --json");
  if (crashing)
    console.Note("Workers of this app do not stay up: `cloister logs " + name.ToString() +
                 "` says why, `cloister rollback " + name.ToString() + "` goes back.");
  return {};
}

Attempt<void> ListWorkers(AdminApi& api, Console& console, const std::string& app) {
  std::string target = "/v1/ps";
  if (!app.empty())
    target += "?app=" + TRY(ResolveApp(api, app)).ToString();
  const Json answer = TRY(api.Get(target));
  static constexpr Column kColumns[] = {{"APP", "app"},
                                        {"VERSION", "version"},
                                        {"WORKER", "id"},
                                        {"PID", "pid"},
                                        {"STATE", "state", Show::kState},
                                        {"REQUESTS", "requests"},
                                        {"MEMORY", "memory_bytes", Show::kBytes},
                                        {"AGE", "age_ms", Show::kMillis}};
  if (!ShownAsJson(console, answer))
    ShowRows(console, ListOf(answer, "workers"), kColumns,
             "no workers: an app without requests has none");
  return {};
}

Attempt<void> ShowStatus(AdminApi& api, Console& console) {
  const Json answer = TRY(api.Get("/v1/status"));
  if (!ShownAsJson(console, answer))
    ShowMembers(console, answer, "");
  return {};
}

}  // namespace cloister
