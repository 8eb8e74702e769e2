// Shells on apps' databases: opened, held, asked, closed.

#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "daemon/admin/database_shells.h"
#include "daemon/admin/handlers.h"
#include "daemon/store/snapshot_rows.h"

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

// {"write", "snapshot"}: both may be missing.
Outcome<DatabaseShells::Wish> ParseOpenBody(const TakenBody& taken) {
  const std::string text = TRY(ReadBody(taken));
  const Json body = TRY(ParseObject(text, {}));
  const Fields fields = TRY(Fields::Of(body, {"write", "snapshot"}));
  DatabaseShells::Wish wish;
  if (TRY(fields.Flag("write")))
    wish.access = SessionAccess::kWrite;
  if (body.contains("snapshot"))
    wish.snapshot = TRY(fields.Number("snapshot"));
  if (wish.snapshot && wish.access == SessionAccess::kWrite)
    return Problem{.code = ProblemCode::kFieldInvalid,
                   .detail = "a snapshot stays what it is: write is for the app's database"};
  return wish;
}

void Open(AdminContext& context, const DatabaseShells::Asked& asked, DatabaseShells::Wish wish,
          const AdminReply& reply) {
  wish.quota = context.parts.releases.quotas().Of(asked.app->row).query;
  const Outcome<std::string> id = context.options.shells->Open(asked, wish);
  if (!id.ok())
    return reply.Fail(id.error());
  reply.Send(201, {{"id", id.value()},
                   {"app", asked.app->row.name.ToString()},
                   {"engine", context.options.database_engine},
                   {"write", wish.access == SessionAccess::kWrite},
                   {"snapshot", wish.snapshot ? Json(*wish.snapshot) : Json()}});
}

Outcome<Done> FindSnapshot(Database& db, const AppRow& app, std::uint64_t number) {
  for (const SnapshotRow& snapshot : TRY(ListSnapshots(db, app.id)))
    if (snapshot.number == number)
      return Done{};
  return Problem{.code = ProblemCode::kSnapshotNotFound,
                 .detail = "the database of " + app.name.ToString() + " has no snapshot " +
                           std::to_string(number) + "; `cloister snapshots " + app.name.ToString() +
                           "` lists those that it has"};
}

void OpenOnSnapshot(AdminContext& context, const DatabaseShells::Asked& asked,
                    const DatabaseShells::Wish& wish, std::uint64_t snapshot,
                    const AdminReply& reply) {
  if (std::optional<Problem> refused = context.parts.releases.pipeline().RefuseData())
    return reply.Fail(*refused);
  const AppRow& row = asked.app->row;
  context.parts.state.Read(
      row.id.number, [row, snapshot](Database& db) { return FindSnapshot(db, row, snapshot); },
      [&context, name = row.name, id = row.id, who = asked.who, wish,
       reply](const Outcome<Done>& found) {
        if (!found.ok())
          return reply.Fail(found.error());
        const AppEntry* const app = context.parts.releases.catalog().FindApp(name);
        if (app == nullptr || app->row.id != id)
          return reply.Fail(ProblemCode::kAppNotFound, name.ToString() + " was deleted");
        Open(context, {.app = app, .id = "", .who = who}, wish, reply);
      });
}

}  // namespace

void HandleOpenShell(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const std::optional<DatabaseShells::Asked> asked = FindShellsOrFail(context, request, reply);
  if (!asked)
    return;
  const Outcome<DatabaseShells::Wish> wish = ParseOpenBody(*request.body);
  if (!wish.ok())
    return reply.Fail(wish.error());
  if (const std::optional<std::uint64_t> snapshot = wish.value().snapshot)
    OpenOnSnapshot(context, *asked, wish.value(), *snapshot, reply);
  else
    Open(context, *asked, wish.value(), reply);
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
