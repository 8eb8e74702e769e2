// Tenants and apps.

#include <nlohmann/json.hpp>

#include "daemon/admin/handlers.h"
#include "daemon/workers/database_source.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

Json TenantJson(const TenantRow& tenant, std::size_t apps) {
  return {{"id", tenant.id.number},
          {"name", tenant.name},
          {"apps", apps},
          {"created_at", TimeText(tenant.created_at)}};
}

Json AppJson(const AdminContext& context, const AppEntry& app) {
  return {{"id", app.row.id.number},
          {"app", app.row.name.ToString()},
          {"tenant", app.row.name.tenant()},
          {"name", app.row.name.app()},
          {"live", app.live ? Json(app.live->version) : Json()},
          {"live_release", app.live ? Json(app.live->id.number) : Json()},
          {"canary", app.canary ? Json(app.canary->version) : Json()},
          {"canary_percent", app.canary ? Json(app.canary->percent) : Json()},
          {"config", app.config == 0 ? Json() : Json(app.config)},
          {"deploying", app.activity == AppActivity::kDeploying},
          {"url", context.UrlOf(app.row.name)},
          {"created_at", TimeText(app.row.created_at)}};
}

void SendDone(const AdminReply& reply, const Outcome<Done>& outcome) {
  if (outcome.ok())
    reply.SendNothing();
  else
    reply.Fail(outcome.error());
}

// The name in the body; empty, and the request is answered, when there is none.
std::optional<std::string> NameOrFail(const AdminRequest& request, const AdminReply& reply) {
  const Result<std::string> text = ReadBody(*request.body);
  const Outcome<std::string> name =
      text.ok() ? ParseName(text.value()) : Outcome<std::string>(Error(text.error()));
  if (name.ok())
    return name.value();
  reply.Fail(name.error());
  return std::nullopt;
}

}  // namespace

void HandleListTenants(AdminContext& context, const AdminRequest& /*request*/,
                       const AdminReply& reply) {
  const Catalog& catalog = context.parts.releases.catalog();
  std::map<std::string, std::size_t> apps;
  for (const auto& [name, app] : catalog.apps())
    ++apps[name.tenant()];
  Json tenants = Json::array();
  for (const auto& [name, tenant] : catalog.tenants())
    tenants.push_back(TenantJson(tenant, apps[name]));
  reply.Send(200, {{"tenants", std::move(tenants)}});
}

void HandleCreateTenant(AdminContext& context, const AdminRequest& request,
                        const AdminReply& reply) {
  const std::optional<std::string> name = NameOrFail(request, reply);
  if (!name)
    return;
  context.parts.releases.owners().CreateTenant(
      *name, request.who, [reply](const Outcome<TenantRow>& tenant) {
        if (tenant.ok())
          reply.Send(201, {{"tenant", TenantJson(tenant.value(), 0)}});
        else
          reply.Fail(tenant.error());
      });
}

void HandleDeleteTenant(AdminContext& context, const AdminRequest& request,
                        const AdminReply& reply) {
  const Outcome<bool> force = request.query.Flag("force");
  if (!force.ok())
    return reply.Fail(force.error());
  const DeleteMode mode = force.value() ? DeleteMode::kWithApps : DeleteMode::kEmptyOnly;
  context.parts.releases.owners().DeleteTenant(
      request.names[0], mode, request.who,
      [reply](const Outcome<Done>& deleted) { SendDone(reply, deleted); });
}

void HandleListApps(AdminContext& context, const AdminRequest& /*request*/,
                    const AdminReply& reply) {
  Json apps = Json::array();
  for (const auto& [name, app] : context.parts.releases.catalog().apps())
    apps.push_back(AppJson(context, app));
  reply.Send(200, {{"apps", std::move(apps)}});
}

void HandleListTenantApps(AdminContext& context, const AdminRequest& request,
                          const AdminReply& reply) {
  const Catalog& catalog = context.parts.releases.catalog();
  const std::string& tenant = request.names[0];
  if (catalog.FindTenant(tenant) == nullptr)
    return reply.Fail(ProblemCode::kTenantNotFound, "there is no tenant '" + tenant + "'");
  Json apps = Json::array();
  for (const auto& [name, app] : catalog.apps())
    if (name.tenant() == tenant)
      apps.push_back(AppJson(context, app));
  reply.Send(200, {{"apps", std::move(apps)}});
}

void HandleCreateApp(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const std::optional<std::string> name = NameOrFail(request, reply);
  if (!name)
    return;
  context.parts.releases.owners().CreateApp(
      request.names[0], *name, request.who, [&context, reply](const Outcome<AppRow>& app) {
        if (app.ok())
          reply.Send(201, {{"app", AppJson(context, {.row = app.value(), .live = {}})}});
        else
          reply.Fail(app.error());
      });
}

void HandleShowApp(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  Json shown = AppJson(context, *app);
  if (!context.options.database_name) {
    // As a file of the state directory, whether it is there yet or not.
    shown["database"] =
        DataDirectory("apps/" + std::to_string(app->row.id.number), app->row.data) + "/query.db";
    return reply.Send(200, {{"app", std::move(shown)}});
  }
  context.options.database_name(
      app->row.id, [reply, shown = std::move(shown)](const Result<std::string>& name) mutable {
        shown["database"] = name.ok() && !name.value().empty() ? Json(name.value()) : Json();
        reply.Send(200, {{"app", std::move(shown)}});
      });
}

}  // namespace cloister
