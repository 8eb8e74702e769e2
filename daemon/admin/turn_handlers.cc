// Rollbacks and promotions.

#include <nlohmann/json.hpp>

#include "daemon/admin/handlers.h"
#include "daemon/admin/release_json.h"
#include "daemon/store/snapshot_rows.h"
#include "daemon/workers/database_copy.h"
#include "daemon/workers/database_source.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// What becomes of the config with it; null: nothing.
Json ConfigJson(const ReleaseConfig& config) {
  if (config.names.empty())
    return {};
  return {{"version", config.number}, {"as_in", config.former}, {"names", config.names}};
}

void HandleTurn(TurnKind kind, AdminContext& context, const AdminRequest& request,
                const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  const Result<std::string> text = ReadBody(*request.body);
  if (!text.ok())
    return reply.Fail(ProblemOf(Error(text.error())));
  Outcome<TurnBody> body = ParseTurnBody(text.value());
  if (!body.ok())
    return reply.Fail(body.error());
  if (kind == TurnKind::kPromote && body.value().version.empty())
    return reply.Fail(ProblemCode::kFieldInvalid, "version is missing");
  if ((kind == TurnKind::kPromote || body.value().snapshot) &&
      body.value().with_data == (kind == TurnKind::kPromote))
    return reply.Fail(ProblemCode::kFieldInvalid,
                      "data goes back with a rollback: with_data is true there, and only there");
  context.parts.releases.pipeline().Turn(
      app->row.name,
      {.kind = kind,
       .version = std::move(body.value().version),
       .data = body.value().with_data ? TurnedData::kGoesBack : TurnedData::kStays,
       .snapshot = body.value().snapshot},
      request.who, [&context, name = app->row.name, reply](const Outcome<DeployAnswer>& answer) {
        if (!answer.ok())
          return reply.Fail(answer.error());
        reply.Send(
            answer.value().created ? 202 : 200,
            {{"release", ViewJson(context, name, answer.value().view, ReadCensus(context, name))},
             {"former", answer.value().former},
             {"config", ConfigJson(answer.value().config)},
             {"snapshot", answer.value().snapshot ? Json(*answer.value().snapshot) : Json()}});
      });
}

Json SnapshotJson(const SnapshotRow& snapshot, Bytes size) {
  return {{"number", snapshot.number},
          {"version", snapshot.version},
          {"taken_at", TimeText(snapshot.taken_at)},
          {"reason", snapshot.reason},
          {"bytes", size.count}};
}

}  // namespace

void HandlePreviewRollback(AdminContext& context, const AdminRequest& request,
                           const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  if (std::optional<Problem> refused = context.parts.releases.pipeline().RefuseData())
    return reply.Fail(*refused);
  State& state = context.parts.state;
  state.Read(
      app->row.id.number,
      [row = app->row, version = request.query.Text("version").value_or(""),
       directory = state.AppDirectory(app->row.id.number)](Database& db) {
        return PreviewData(db, row, version, directory);
      },
      [&context, reply](const Outcome<DataPreview>& preview) {
        if (!preview.ok())
          return reply.Fail(preview.error());
        reply.Send(200, {{"version", preview.value().release.version},
                         {"snapshot",
                          SnapshotJson(preview.value().snapshot, preview.value().snapshot_bytes)},
                         {"database_bytes", preview.value().database_bytes.count},
                         {"now", TimeText(context.parts.clock.Wall())}});
      });
}

void HandleListSnapshots(AdminContext& context, const AdminRequest& request,
                         const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  State& state = context.parts.state;
  state.Read(
      app->row.id.number,
      [id = app->row.id, data = app->row.data,
       directory = state.AppDirectory(app->row.id.number)](Database& db) -> Outcome<std::string> {
        Json rows = Json::array();
        for (const SnapshotRow& snapshot : TRY(ListSnapshots(db, id)))
          rows.push_back(
              SnapshotJson(snapshot, SizeOfDatabase(DataDirectory(directory, snapshot.number))));
        const Json answer = {
            {"snapshots", std::move(rows)},
            {"database_bytes", SizeOfDatabase(DataDirectory(directory, data)).count}};
        return answer.dump(-1, ' ', false, Json::error_handler_t::replace);
      },
      [reply](const Outcome<std::string>& answer) {
        if (!answer.ok())
          return reply.Fail(answer.error());
        reply.SendBytes("application/json", answer.value());
      });
}

void HandleRollback(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  HandleTurn(TurnKind::kRollback, context, request, reply);
}

void HandlePromote(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  HandleTurn(TurnKind::kPromote, context, request, reply);
}

}  // namespace cloister
