#include "daemon/cli/quota.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include <nlohmann/json.hpp>

#include "daemon/cli/app_ref.h"
#include "daemon/cli/progress.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

Attempt<std::string> TargetOf(AdminApi& api, const std::string& owner) {
  if (owner.empty())
    return std::string("/v1/quota");
  if (owner.find('/') != std::string::npos) {
    const AppName app = TRY(ResolveApp(api, owner));
    return AppTarget(app, "/quota");
  }
  if (!IsValidName(owner))
    return Failure{ExitCode::kUsage, "name_invalid", "'" + owner + "' names no tenant and no app",
                   "write TENANT for a tenant, TENANT/NAME for an app", ""};
  return TenantTarget(owner, "/quota");
}

// What was meant by a name without a tenant, when the node knows an app of that name.
Attempt<Json> OrOfAnApp(AdminApi& api, const std::string& owner, Attempt<Json> answer) {
  if (answer.ok() || answer.error().code != "tenant_not_found" ||
      owner.find('/') != std::string::npos)
    return answer;
  Failure failure = std::move(answer).error();
  const Attempt<Json> apps = api.Get("/v1/apps");
  if (!apps.ok())
    return failure;
  std::string near;
  for (const Json& row : ListOf(apps.value(), "apps"))
    if (const std::string app = TextOf(row, "app"); app.ends_with("/" + owner))
      near += (near.empty() ? "" : " or ") + Harmless(app);
  if (!near.empty())
    failure.advice = "did you mean " + near + " (an app)?";
  return failure;
}

std::string OwnerText(const Json& answer, const std::string& set_for) {
  if (set_for == "app")
    return "app " + TextOf(answer, "app");
  if (set_for != "tenant")
    return set_for;
  const std::string tenant = TextOf(answer, "tenant");
  const std::string app = TextOf(answer, "app");
  return "tenant " + (tenant.empty() ? app.substr(0, app.find('/')) : tenant);
}

constexpr std::size_t kBarWidth = 10;

// How much of a quota is used: a bar on a terminal, and a percentage; of bytes how many, too.
std::string UseText(const Console& console, const Json& quota) {
  const std::uint64_t limit = NumberOf(quota, "limit");
  if (!quota.contains("used") || limit == 0)
    return "-";
  const std::uint64_t used = NumberOf(quota, "used");
  const double part = static_cast<double>(used) / static_cast<double>(limit);
  std::string percent = fmt::format("{:.0f}%", part * 100);
  if (used > 0 && TextOf(quota, "value").ends_with('B'))
    percent += " (" + FormatBytes(used) + ")";
  if (!console.bars())
    return percent;
  const auto filled = static_cast<std::size_t>(std::lround(std::min(1.0, part) * kBarWidth));
  std::string bar;
  for (std::size_t i = 0; i < kBarWidth; ++i)
    bar += i < filled ? "█" : "░";
  const Paint paint = part >= 1 ? Paint::kRed : part >= 0.8 ? Paint::kYellow : Paint::kGreen;
  return console.Colour(paint, bar) + " " + percent;
}

std::string RefusedText(const Json& quota) {
  return quota.contains("refused") ? std::to_string(NumberOf(quota, "refused")) : "-";
}

void ShowRows(Console& console, const Json& answer, const std::vector<std::string>& only) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& quota : ListOf(answer, "quotas")) {
    const std::string name = TextOf(quota, "name");
    if (!only.empty() && std::find(only.begin(), only.end(), name) == only.end())
      continue;
    std::vector<std::string>& row = rows.emplace_back();
    const std::string value = TextOf(quota, "value");
    const std::string asked = TextOf(quota, "manifest");
    row = {Harmless(name),
           Harmless(asked.empty() ? value : fmt::format("{} by manifest (of {})", asked, value))};
    // Only an app uses something.
    if (answer.contains("app")) {
      row.push_back(UseText(console, quota));
      row.push_back(RefusedText(quota));
    }
    row.push_back(Harmless(OwnerText(answer, TextOf(quota, "set_for"))));
    row.push_back(Harmless(TextOf(quota, "about")));
  }
  if (answer.contains("app"))
    console.Table({"QUOTA", "VALUE", "USED", "REFUSED", "SET FOR", "ABOUT"}, rows);
  else
    console.Table({"QUOTA", "VALUE", "SET FOR", "ABOUT"}, rows);
}

Attempt<void> Change(AdminApi& api, Console& console, const std::string& owner,
                     const Json& changes) {
  for (auto change = changes.begin(); change != changes.end(); ++change)
    if (std::any_of(changes.begin(), change,
                    [&](const Json& other) { return other["name"] == (*change)["name"]; }))
      return Failure{ExitCode::kUsage, "usage", "'" + TextOf(*change, "name") + "' is there twice",
                     "", ""};
  const std::string target = TRY(TargetOf(api, owner));
  const Json answer = TRY(OrOfAnApp(api, owner, api.Post(target, {{"changes", changes}})));
  if (console.json()) {
    console.Raw(Dump(answer) + "\n");
    return {};
  }
  std::vector<std::string> names;
  for (const Json& change : changes)
    names.push_back(TextOf(change, "name"));
  ShowRows(console, answer, names);
  return {};
}

}  // namespace

Attempt<void> ShowQuota(AdminApi& api, Console& console, const std::string& owner) {
  const std::string target = TRY(TargetOf(api, owner));
  const Json answer = TRY(OrOfAnApp(api, owner, api.Get(target)));
  if (console.json())
    console.Raw(Dump(answer) + "\n");
  else
    ShowRows(console, answer, {});
  return {};
}

Attempt<void> SetQuotas(AdminApi& api, Console& console, const std::string& owner,
                        const std::vector<std::string>& values) {
  Json changes = Json::array();
  for (const std::string& pair : values) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == pair.size())
      return Failure{ExitCode::kUsage, "usage", "'" + pair + "' is not NAME=VALUE",
                     "write it like limits.memory=128MiB; `cloister quota show` lists the names",
                     ""};
    changes.push_back({{"name", pair.substr(0, equals)}, {"value", pair.substr(equals + 1)}});
  }
  return Change(api, console, owner, changes);
}

Attempt<void> UnsetQuotas(AdminApi& api, Console& console, const std::string& owner,
                          const std::vector<std::string>& names) {
  Json changes = Json::array();
  for (const std::string& name : names)
    changes.push_back({{"name", name}});
  return Change(api, console, owner, changes);
}

}  // namespace cloister
