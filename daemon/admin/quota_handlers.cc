// Quotas: what holds for whom, and changing it.

#include <nlohmann/json.hpp>

#include "daemon/admin/handlers.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// Whose value a quota is, from the owner that is asked for outwards.
struct Layer {
  const char* name;
  const QuotaValues* values;
};

Json QuotaRows(const Quota& quota, const std::vector<Layer>& layers) {
  Json rows = Json::array();
  for (const QuotaInfo& info : QuotaInfos()) {
    const char* from = "node";
    for (const Layer& layer : layers)
      if (layer.values->contains(info.name)) {
        from = layer.name;
        break;
      }
    rows.push_back({{"name", info.name},
                    {"value", QuotaText(quota, info.name)},
                    {"set_for", from},
                    {"about", info.sentence}});
  }
  return rows;
}

Json TenantJson(AdminContext& context, const TenantRow& tenant) {
  const Quotas& quotas = context.parts.releases.quotas();
  return {{"tenant", tenant.name},
          {"quotas", QuotaRows(quotas.OfTenant(tenant.id),
                               {{"tenant", &quotas.SetFor({.tenant = tenant.id})}})}};
}

Json AppJson(AdminContext& context, const AppRow& app) {
  const Quotas& quotas = context.parts.releases.quotas();
  return {{"app", app.name.ToString()},
          {"quotas", QuotaRows(quotas.Of(app),
                               {{"app", &quotas.SetFor({.tenant = app.tenant, .app = app.id})},
                                {"tenant", &quotas.SetFor({.tenant = app.tenant})}})}};
}

// Null, and the request is answered, when there is none.
const TenantRow* FindTenantOrFail(AdminContext& context, const AdminRequest& request,
                                  const AdminReply& reply) {
  const TenantRow* tenant = context.parts.releases.catalog().FindTenant(request.names[0]);
  if (tenant == nullptr)
    reply.Fail(NoTenant(request.names[0]));
  return tenant;
}

Outcome<std::vector<QuotaChange>> ChangesOf(const AdminRequest& request) {
  const std::string text = TRY(ReadBody(*request.body));
  return ParseQuotaChanges(text);
}

}  // namespace

void HandleNodeQuota(AdminContext& context, const AdminRequest& /*request*/,
                     const AdminReply& reply) {
  reply.Send(200, {{"quotas", QuotaRows(context.parts.releases.quotas().node(), {})}});
}

void HandleTenantQuota(AdminContext& context, const AdminRequest& request,
                       const AdminReply& reply) {
  if (const TenantRow* tenant = FindTenantOrFail(context, request, reply); tenant != nullptr)
    reply.Send(200, TenantJson(context, *tenant));
}

void HandleAppQuota(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  if (const AppEntry* app = FindAppOrFail(context, request, reply); app != nullptr)
    reply.Send(200, AppJson(context, app->row));
}

void HandleChangeTenantQuota(AdminContext& context, const AdminRequest& request,
                             const AdminReply& reply) {
  const TenantRow* tenant = FindTenantOrFail(context, request, reply);
  if (tenant == nullptr)
    return;
  Outcome<std::vector<QuotaChange>> changes = ChangesOf(request);
  if (!changes.ok())
    return reply.Fail(changes.error());
  context.parts.releases.quotas().ChangeTenant(
      tenant->name, std::move(changes).value(), request.who,
      [&context, row = *tenant, reply](const Outcome<Done>& changed) {
        if (changed.ok())
          reply.Send(200, TenantJson(context, row));
        else
          reply.Fail(changed.error());
      });
}

void HandleChangeAppQuota(AdminContext& context, const AdminRequest& request,
                          const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  Outcome<std::vector<QuotaChange>> changes = ChangesOf(request);
  if (!changes.ok())
    return reply.Fail(changes.error());
  context.parts.releases.quotas().ChangeApp(
      app->row.name, std::move(changes).value(), request.who,
      [&context, row = app->row, reply](const Outcome<Done>& changed) {
        if (changed.ok())
          reply.Send(200, AppJson(context, row));
        else
          reply.Fail(changed.error());
      });
}

}  // namespace cloister
