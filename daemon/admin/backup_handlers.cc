// The backup of the node: begun, copied app by app, read, ended.

#include <charconv>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "daemon/admin/handlers.h"
#include "daemon/releases/backups.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// 0: it is none.
std::uint64_t NumberIn(const std::string& text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, bad] = std::from_chars(text.data(), end, number);
  return bad == std::errc() && stop == end ? number : 0;
}

// Null, and the request is answered, when this node makes none.
Backups* FindBackupsOrFail(AdminContext& context, const AdminReply& reply) {
  if (context.options.backups == nullptr)
    reply.Fail(ProblemCode::kUnavailable, "this node makes no backups");
  else if (!context.parts.releases.open())
    reply.Fail(NotOpen());
  else
    return context.options.backups;
  return nullptr;
}

Json AppJson(const BackupApp& app) {
  return {{"id", app.id.number}, {"name", app.name}, {"bytes", app.size.count}};
}

void SendDone(const AdminReply& reply, const Outcome<Done>& done) {
  if (done.ok())
    reply.SendNothing();
  else
    reply.Fail(done.error());
}

Outcome<WithNodeKey> ParseBackupBody(const TakenBody& taken) {
  const std::string text = TRY(ReadBody(taken));
  const Json body = TRY(ParseObject(text, {}));
  const Fields fields = TRY(Fields::Of(body, {"node_key"}));
  return TRY(fields.Flag("node_key")) ? WithNodeKey::kYes : WithNodeKey::kNo;
}

}  // namespace

void HandleBeginBackup(AdminContext& context, const AdminRequest& request,
                       const AdminReply& reply) {
  Backups* backups = FindBackupsOrFail(context, reply);
  if (backups == nullptr)
    return;
  const Outcome<WithNodeKey> key = ParseBackupBody(*request.body);
  if (!key.ok())
    return reply.Fail(key.error());
  backups->Begin(key.value(), [&context, reply](const Outcome<BackupBegun>& begun) {
    if (!begun.ok())
      return reply.Fail(begun.error());
    Json apps = Json::array();
    for (const BackupApp& app : begun.value().state.apps)
      apps.push_back(AppJson(app));
    reply.Send(201, {{"id", begun.value().id},
                     {"version", context.options.version},
                     {"now", TimeText(context.parts.clock.Wall())},
                     {"pieces", begun.value().state.pieces},
                     {"bytes", begun.value().state.size.count},
                     {"apps", std::move(apps)}});
  });
}

void HandleBackUpApp(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  Backups* backups = FindBackupsOrFail(context, reply);
  if (backups == nullptr)
    return;
  backups->AddApp(NumberIn(request.names[0]), {NumberIn(request.names[1])},
                  [reply](const Outcome<BackupList>& list) {
                    if (!list.ok())
                      return reply.Fail(list.error());
                    reply.Send(201, {{"pieces", list.value().pieces},
                                     {"bytes", list.value().size.count},
                                     {"list_bytes", list.value().list.count},
                                     {"on_server", list.value().on_server}});
                  });
}

void HandleRemoveBackedUpApp(AdminContext& context, const AdminRequest& request,
                             const AdminReply& reply) {
  if (Backups* backups = FindBackupsOrFail(context, reply); backups != nullptr)
    backups->RemoveApp(NumberIn(request.names[0]), {NumberIn(request.names[1])},
                       [reply](const Outcome<Done>& done) { SendDone(reply, done); });
}

void HandleReadBackup(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  Backups* backups = FindBackupsOrFail(context, reply);
  if (backups == nullptr)
    return;
  constexpr std::uint64_t kOffsetMax = std::uint64_t{1} << 60;
  const auto offset = request.query.Number("offset", kOffsetMax);
  const auto count = request.query.Number("count", Backups::kPieceMax);
  if (!offset.ok() || !count.ok())
    return reply.Fail(offset.ok() ? count.error() : offset.error());
  backups->Read(NumberIn(request.names[0]), request.query.Text("path").value_or(""),
                offset.value().value_or(0), count.value().value_or(Backups::kPieceMax),
                [reply](const Outcome<std::string>& bytes) {
                  if (bytes.ok())
                    reply.SendBytes("application/octet-stream", bytes.value());
                  else
                    reply.Fail(bytes.error());
                });
}

void HandleEndBackup(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  if (Backups* backups = FindBackupsOrFail(context, reply); backups != nullptr)
    backups->End(NumberIn(request.names[0]),
                 [reply](const Outcome<Done>& done) { SendDone(reply, done); });
}

}  // namespace cloister
