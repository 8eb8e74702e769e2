// Quotas: what holds for whom, and changing it.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "daemon/admin/handlers.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/release_rows.h"
#include "daemon/workers/database_source.h"
#include "daemon/workers/process_memory.h"

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

// What the state knows of an app.
struct AppFacts {
  ConfigUse config;
  std::optional<ReleaseRow> live;
  ObjectUse objects = {};
  std::uint64_t query_bytes = 0;  // of the database's file and log
};

std::uint64_t FileSize(const std::string& path) {
  std::error_code missing;
  const std::uintmax_t size = std::filesystem::file_size(path, missing);
  return missing ? 0 : size;
}

// `directory`: of its database, as DataDirectory has it.
Result<AppFacts> ReadFacts(Database& db, AppId app, const std::string& directory) {
  AppFacts facts{.config = TRY(ReadConfigUse(db, app)), .live = {}, .objects = {}};
  const std::string database = directory + "/query.db";
  facts.query_bytes = FileSize(database) + FileSize(database + "-wal");
  facts.live = TRY(FindLive(db, app));
  return facts;
}

CacheUse CacheUseOf(AdminContext& context, const AppEntry& app) {
  return context.options.cache_use ? context.options.cache_use(app.row.id) : CacheUse{};
}

QueryUse QueryUseOf(AdminContext& context, const AppEntry& app) {
  return context.options.query_use ? context.options.query_use(app.row.id) : QueryUse{};
}

// What an app uses, by the name of the quota. Of others nothing is counted.
std::map<std::string_view, std::uint64_t> UseOf(AdminContext& context, const AppEntry& app,
                                                const AppFacts& facts) {
  std::uint64_t memory = 0;  // of its largest worker
  for (const WorkerInfo& worker : context.parts.workers.List())
    if (worker.app == app.row.name && worker.pid != 0)
      memory = std::max(memory, AnonymousMemory(worker.pid).count);
  const ReleaseUse use =
      app.live ? context.parts.workers.Use({app.live->id, app.config}) : ReleaseUse{};
  const QueryUse query = QueryUseOf(context, app);
  return {
      {"limits.requests", context.parts.router.UseOf(app.row.id).requests},
      {"limits.concurrent", use.concurrent},
      {"limits.memory", memory},
      {"limits.workers", use.workers},
      {"limits.queue", use.queued},
      {"limits.draining", app.draining.size()},
      {"cache.calls", context.parts.calls.UseOf(app.row.id, Api::kCache).used},
      {"cache.bytes", CacheUseOf(context, app).used.count},
      {"persistence.bytes", facts.objects.totals.charged()},
      {"persistence.objects", std::max(facts.objects.totals.objects, facts.objects.totals.names)},
      {"persistence.writes", facts.objects.writes},
      {"persistence.calls", context.parts.calls.UseOf(app.row.id, Api::kPersistence).used},
      // Until the app's database is used no process has reported.
      {"query.bytes", query.bytes > 0 ? query.bytes : facts.query_bytes},
      {"query.statements", query.statements},
      {"query.transactions", query.transactions},
      {"config.keys", facts.config.keys},
      {"config.bytes", facts.config.bytes}};
}

// Requests that were refused since the node process began.
std::map<std::string_view, std::uint64_t> RefusedOf(AdminContext& context, const AppEntry& app) {
  const ReleaseUse use =
      app.live ? context.parts.workers.Use({app.live->id, app.config}) : ReleaseUse{};
  std::map<std::string_view, std::uint64_t> refused = {
      {"limits.requests", context.parts.router.UseOf(app.row.id).refused},
      {"limits.body", context.parts.router.UseOf(app.row.id).bodies_refused},
      {"limits.queue", use.queue_refused}};
  for (const std::string_view quota :
       {"cache.calls", "cache.bytes", "cache.value", "cache.key", "persistence.calls",
        "persistence.writes", "persistence.bytes", "persistence.object", "persistence.objects",
        "query.bytes", "query.statement", "query.result", "query.statements", "query.transactions",
        "query.transaction_time"})
    refused[quota] = context.parts.calls.RefusedOf(app.row.id, quota);
  return refused;
}

// The quota with what the manifest of the live release asks less for.
Quota InForce(Quota quota, const std::optional<ReleaseRow>& live) {
  if (!live)
    return quota;
  const ReleaseRun& run = live->run;
  quota.limits.worker = run.limits;
  quota.limits.queue_max = run.queue_max;
  quota.limits.workers_max = run.workers_max;
  return quota;
}

void AddUse(AdminContext& context, const AppEntry& app, const AppFacts& facts, const Quota& quota,
            Json& rows) {
  const Quota in_force = InForce(quota, facts.live);
  const auto use = UseOf(context, app, facts);
  const auto refused = RefusedOf(context, app);
  for (Json& row : rows) {
    const std::string name = row["name"].get<std::string>();
    row["limit"] = QuotaNumber(in_force, name);
    if (QuotaNumber(in_force, name) < QuotaNumber(quota, name))
      row["manifest"] = QuotaText(in_force, name);
    if (const auto found = use.find(name); found != use.end())
      row["used"] = found->second;
    if (const auto found = refused.find(name); found != refused.end())
      row["refused"] = found->second;
  }
}

Json TenantJson(AdminContext& context, const TenantRow& tenant) {
  const Quotas& quotas = context.parts.releases.quotas();
  return {{"tenant", tenant.name},
          {"quotas", QuotaRows(quotas.OfTenant(tenant.id),
                               {{"tenant", &quotas.SetFor({.tenant = tenant.id})}})}};
}

Json AppJson(AdminContext& context, const AppEntry& app, const AppFacts& facts) {
  const Quotas& quotas = context.parts.releases.quotas();
  const AppRow& row = app.row;
  const Quota quota = quotas.Of(row);
  Json rows = QuotaRows(quota, {{"app", &quotas.SetFor({.tenant = row.tenant, .app = row.id})},
                                {"tenant", &quotas.SetFor({.tenant = row.tenant})}});
  AddUse(context, app, facts, quota, rows);
  const CacheCounters cache = CacheUseOf(context, app).counters;
  return {{"app", row.name.ToString()},
          {"quotas", std::move(rows)},
          {"cache",
           {{"hits", cache.hits},
            {"misses", cache.misses},
            {"failed", cache.failed},
            {"evicted", cache.evicted}}}};
}

void SendFacts(AdminContext& context, const AppName& name, const AppFacts& facts,
               const AdminReply& reply) {
  const AppEntry* entry = context.parts.releases.catalog().FindApp(name);
  if (entry == nullptr)
    return reply.Fail(NoApp(name));
  reply.Send(200, AppJson(context, *entry, facts));
}

// The state counts what the config has, and knows the live release; its store counts the objects.
void SendApp(AdminContext& context, const AppName& name, const AdminReply& reply) {
  const AppEntry* app = context.parts.releases.catalog().FindApp(name);
  if (app == nullptr)
    return reply.Fail(NoApp(name));
  context.parts.state.Read(
      app->row.id.number,
      [id = app->row.id, directory = DataDirectory(
                             context.parts.state.AppDirectory(app->row.id.number), app->row.data)](
          Database& db) { return ReadFacts(db, id, directory); },
      [&context, name, reply, id = app->row.id](const Result<AppFacts>& facts) {
        if (!facts.ok())
          return reply.Fail(ProblemOf(Error(facts.error())));
        if (context.options.objects == nullptr)
          return SendFacts(context, name, facts.value(), reply);
        context.options.objects->Use(
            id, [&context, name, reply, known = facts.value()](const Result<ObjectUse>& use) {
              if (!use.ok())
                return reply.Fail(ProblemOf(Error(use.error())));
              AppFacts all = known;
              all.objects = use.value();
              SendFacts(context, name, all, reply);
            });
      });
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
    SendApp(context, app->row.name, reply);
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
      [&context, name = app->row.name, reply](const Outcome<Done>& changed) {
        if (!changed.ok())
          return reply.Fail(changed.error());
        SendApp(context, name, reply);
      });
}

}  // namespace cloister
