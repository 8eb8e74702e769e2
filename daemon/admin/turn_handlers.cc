// Rollbacks and promotions.

#include <nlohmann/json.hpp>

#include "daemon/admin/handlers.h"
#include "daemon/admin/release_json.h"

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
  Outcome<std::string> version = ParseVersionBody(text.value());
  if (!version.ok())
    return reply.Fail(version.error());
  if (kind == TurnKind::kPromote && version.value().empty())
    return reply.Fail(ProblemCode::kFieldInvalid, "version is missing");
  context.parts.releases.pipeline().Turn(
      app->row.name, {.kind = kind, .version = std::move(version).value()}, request.who,
      [&context, name = app->row.name, reply](const Outcome<DeployAnswer>& answer) {
        if (!answer.ok())
          return reply.Fail(answer.error());
        reply.Send(
            answer.value().created ? 202 : 200,
            {{"release", ViewJson(context, name, answer.value().view, ReadCensus(context, name))},
             {"former", answer.value().former},
             {"config", ConfigJson(answer.value().config)}});
      });
}

}  // namespace

void HandleRollback(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  HandleTurn(TurnKind::kRollback, context, request, reply);
}

void HandlePromote(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  HandleTurn(TurnKind::kPromote, context, request, reply);
}

}  // namespace cloister
