#include "daemon/cli/quota.h"

#include <algorithm>
#include <string_view>

#include <nlohmann/json.hpp>

#include "daemon/cli/app_ref.h"

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

std::string OwnerText(const Json& answer, const std::string& set_for) {
  if (set_for == "app")
    return "app " + TextOf(answer, "app");
  if (set_for != "tenant")
    return set_for;
  const std::string tenant = TextOf(answer, "tenant");
  const std::string app = TextOf(answer, "app");
  return "tenant " + (tenant.empty() ? app.substr(0, app.find('/')) : tenant);
}

void ShowRows(Console& console, const Json& answer, const std::vector<std::string>& only) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& quota : ListOf(answer, "quotas")) {
    const std::string name = TextOf(quota, "name");
    if (!only.empty() && std::find(only.begin(), only.end(), name) == only.end())
      continue;
    rows.push_back({Harmless(name), Harmless(TextOf(quota, "value")),
                    Harmless(OwnerText(answer, TextOf(quota, "set_for"))),
                    Harmless(TextOf(quota, "about"))});
  }
  console.Table({"QUOTA", "VALUE", "SET FOR", "ABOUT"}, rows);
}

Attempt<void> Change(AdminApi& api, Console& console, const std::string& owner,
                     const Json& changes) {
  const std::string target = TRY(TargetOf(api, owner));
  const Json answer = TRY(api.Post(target, {{"changes", changes}}));
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
  const Json answer = TRY(api.Get(target));
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
