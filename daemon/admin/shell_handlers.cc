// Shells on apps' databases: opened, held, asked, closed.

#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "daemon/admin/database_shells.h"
#include "daemon/admin/handlers.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// Empty, and the request is answered, when there is no such app, or no database.
std::optional<DatabaseShells::Asked> FindShellsOrFail(AdminContext& context,
                                                      const AdminRequest& request,
                                                      const AdminReply& reply) {
  const AppEntry* const app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return std::nullopt;
  if (context.options.shells != nullptr)
    return DatabaseShells::Asked{
        .app = app, .id = request.names.size() > 2 ? request.names[2] : "", .who = request.who};
  reply.Fail(ProblemCode::kUnavailable, "this node keeps no databases");
  return std::nullopt;
}

Outcome<SessionAccess> ParseOpenBody(const TakenBody& taken) {
  const std::string text = TRY(ReadBody(taken));
  const Json body = TRY(ParseObject(text, {}));
  const Fields fields = TRY(Fields::Of(body, {"write"}));
  return TRY(fields.Flag("write")) ? SessionAccess::kWrite : SessionAccess::kRead;
}

}  // namespace

void HandleOpenShell(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const std::optional<DatabaseShells::Asked> asked = FindShellsOrFail(context, request, reply);
  if (!asked)
    return;
  const Outcome<SessionAccess> access = ParseOpenBody(*request.body);
  if (!access.ok())
    return reply.Fail(access.error());
  const Outcome<std::string> id = context.options.shells->Open(
      *asked, context.parts.releases.quotas().Of(asked->app->row).query, access.value());
  if (!id.ok())
    return reply.Fail(id.error());
  reply.Send(201, {{"id", id.value()},
                   {"app", asked->app->row.name.ToString()},
                   {"engine", context.options.database_engine},
                   {"write", access.value() == SessionAccess::kWrite}});
}

void HandleHoldShell(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  if (const auto asked = FindShellsOrFail(context, request, reply))
    context.options.shells->Hold(*asked, reply);
}

void HandleShellStatement(AdminContext& context, const AdminRequest& request,
                          const AdminReply& reply) {
  if (const auto asked = FindShellsOrFail(context, request, reply))
    context.options.shells->Execute(*asked, request.body, reply);
}

void HandleCloseShell(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const auto asked = FindShellsOrFail(context, request, reply);
  if (!asked)
    return;
  const Outcome<Done> closed = context.options.shells->Close(*asked);
  if (closed.ok())
    reply.SendNothing();
  else
    reply.Fail(closed.error());
}

}  // namespace cloister
