#include "daemon/cli/app_ref.h"

#include <nlohmann/json.hpp>

namespace cloister {

Attempt<AppName> ResolveApp(AdminApi& api, std::string_view text) {
  const auto usage = [](Error error) {
    return FailureOf(std::move(error), "name_invalid", ExitCode::kUsage);
  };
  if (text.find('/') != std::string_view::npos) {
    Result<AppName> app = AppName::Parse(text);
    return app.ok() ? Attempt<AppName>(std::move(app).value()) : usage(std::move(app).error());
  }
  if (Result<AppName> form = AppName::Create("tenant", text); !form.ok())
    return usage(std::move(form).error());
  const nlohmann::json answer = TRY(api.Get("/v1/tenants"));
  const nlohmann::json& tenants = ListOf(answer, "tenants");
  if (tenants.empty())
    return Failure{ExitCode::kFailed, "tenant_not_found", "this node has no tenant yet", "",
                   "make one with `cloister tenants create NAME`"};
  if (tenants.size() > 1)
    return Failure{ExitCode::kUsage, "tenant_unclear",
                   "'" + std::string(text) + "' does not say whose app that is", "",
                   "write TENANT/" + std::string(text) + "; `cloister tenants list` shows them"};
  Result<AppName> app = AppName::Create(TextOf(tenants[0], "name"), text);
  return app.ok() ? Attempt<AppName>(std::move(app).value()) : usage(std::move(app).error());
}

}  // namespace cloister
