// The config of an app: what is in force, what was, and changing it. No secret leaves here.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "daemon/admin/config_body.h"
#include "daemon/admin/handlers.h"
#include "daemon/admin/release_json.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t kHistoryDefault = 20;
constexpr std::uint32_t kHistoryMax = 1000;

enum class Shown { kAll, kSecretsOnly };

struct ConfigView {
  std::uint64_t in_force = 0;
  std::optional<ConfigVersionRow> version;
  std::vector<ConfigValueRow> values;
};

// `wanted` 0: the version in force.
Outcome<ConfigView> ReadView(Database& db, AppId app, std::uint64_t wanted) {
  ConfigView view;
  view.in_force = TRY(FindConfigInForce(db, app));
  const std::uint64_t number = wanted == 0 ? view.in_force : wanted;
  view.version = TRY(FindConfigVersion(db, app, number));
  if (wanted != 0 && !view.version)
    return Refused(ProblemCode::kConfigVersionNotFound,
                   "there is no config " + std::to_string(wanted));
  view.values = TRY(ListConfigValues(db, app, number));
  return view;
}

Json ValueJson(const ConfigValueRow& row) {
  Json json = {{"name", row.name},
               {"secret", row.secret},
               {"set_at", TimeText(row.set_at)},
               {"set_by", row.set_by}};
  if (!row.secret)
    json["value"] = row.value;
  return json;
}

Json VersionJson(const ConfigVersionRow& row) {
  Json report;
  if (row.report)
    report = {{"code", row.report->code},           {"message", row.report->message},
              {"file", row.report->file},           {"line", row.report->line},
              {"traceback", row.report->traceback}, {"advice", row.report->advice}};
  return {{"version", row.number},
          {"state", ConfigStateName(row.state)},
          {"action", row.action},
          {"detail", row.detail},
          {"created_at", TimeText(row.created_at)},
          {"created_by", row.created_by},
          {"report", std::move(report)}};
}

Json ViewJsonOf(const AppName& app, const ConfigView& view, Shown shown) {
  Json values = Json::array();
  for (const ConfigValueRow& row : view.values)
    if (shown == Shown::kAll || row.secret)
      values.push_back(ValueJson(row));
  Json json = {{"app", app.ToString()}, {"in_force", view.in_force}};
  json["version"] = view.version ? Json(view.version->number) : Json(0);
  json["state"] = view.version ? Json(ConfigStateName(view.version->state)) : Json();
  json["report"] = view.version ? VersionJson(*view.version)["report"] : Json();
  json[shown == Shown::kAll ? "values" : "secrets"] = std::move(values);
  return json;
}

void Show(AdminContext& context, const AdminRequest& request, std::uint64_t version, Shown shown,
          const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  context.parts.state.Read(
      app->row.id.number,
      [id = app->row.id, version](Database& db) { return ReadView(db, id, version); },
      [name = app->row.name, shown, reply](const Outcome<ConfigView>& view) {
        if (view.ok())
          reply.Send(200, ViewJsonOf(name, view.value(), shown));
        else
          reply.Fail(view.error());
      });
}

Json BackJson(const ConfigBack& back) {
  if (back.former == 0)
    return {};
  return {{"as_in", back.former}, {"names", back.names}, {"gone", back.gone}};
}

void SendAnswer(AdminContext& context, const AppName& app, const ConfigAnswer& answer,
                const AdminReply& reply) {
  reply.Send(
      answer.walk ? 202 : 200,
      {{"app", app.ToString()},
       {"version", answer.number},
       {"changed", answer.changed},
       {"back", BackJson(answer.back)},
       {"release",
        answer.walk ? ViewJson(context, app, *answer.walk, ReadCensus(context, app)) : Json()}});
}

void ChangeConfig(AdminContext& context, const AppName& app,
                  std::shared_ptr<const ConfigRequest> request, const std::string& who,
                  const AdminReply& reply) {
  context.parts.releases.pipeline().ChangeConfig(
      app, std::move(request), who, [&context, app, reply](const Outcome<ConfigAnswer>& answer) {
        if (answer.ok())
          SendAnswer(context, app, answer.value(), reply);
        else
          reply.Fail(answer.error());
      });
}

void ChangeOf(ConfigKind kind, AdminContext& context, const AdminRequest& request,
              const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  context.parts.state.Bulk(
      app->row.id.number,
      [body = request.body, kind](Database&) { return ReadConfigBody(*body, kind); },
      [&context, name = app->row.name, who = request.who,
       reply](Outcome<std::shared_ptr<const ConfigRequest>> wanted) {
        if (!wanted.ok())
          return reply.Fail(wanted.error());
        ChangeConfig(context, name, std::move(wanted).value(), who, reply);
      });
}

}  // namespace

void HandleShowConfig(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const auto version = request.query.Number("version", ~std::uint64_t{0} >> 1U);
  if (!version.ok())
    return reply.Fail(version.error());
  Show(context, request, version.value().value_or(0), Shown::kAll, reply);
}

void HandleShowSecrets(AdminContext& context, const AdminRequest& request,
                       const AdminReply& reply) {
  Show(context, request, 0, Shown::kSecretsOnly, reply);
}

void HandleChangeConfig(AdminContext& context, const AdminRequest& request,
                        const AdminReply& reply) {
  ChangeOf(ConfigKind::kPlain, context, request, reply);
}

void HandleChangeSecrets(AdminContext& context, const AdminRequest& request,
                         const AdminReply& reply) {
  ChangeOf(ConfigKind::kSecret, context, request, reply);
}

void HandleConfigHistory(AdminContext& context, const AdminRequest& request,
                         const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  const auto limit = request.query.Number("limit", kHistoryMax);
  if (!limit.ok())
    return reply.Fail(limit.error());
  context.parts.state.Read(
      app->row.id.number,
      [id = app->row.id,
       limit = static_cast<std::uint32_t>(limit.value().value_or(kHistoryDefault))](Database& db) {
        return ListConfigVersions(db, id, limit);
      },
      [name = app->row.name, reply](const Result<std::vector<ConfigVersionRow>>& versions) {
        if (!versions.ok())
          return reply.Fail(ProblemOf(Error(versions.error())));
        Json rows = Json::array();
        for (const ConfigVersionRow& row : versions.value())
          rows.push_back(VersionJson(row));
        reply.Send(200, {{"app", name.ToString()}, {"versions", std::move(rows)}});
      });
}

void HandleConfigRollback(AdminContext& context, const AdminRequest& request,
                          const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  Outcome<std::shared_ptr<const ConfigRequest>> wanted = ReadConfigRollback(*request.body);
  if (!wanted.ok())
    return reply.Fail(wanted.error());
  ChangeConfig(context, app->row.name, std::move(wanted).value(), request.who, reply);
}

}  // namespace cloister
