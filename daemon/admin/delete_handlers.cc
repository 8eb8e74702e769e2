// Deleting an app: what it has goes with it for good, so that is named before and after.

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "apis/query/database_file.h"
#include "daemon/admin/handlers.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/release_rows.h"
#include "daemon/workers/database_source.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

struct Holdings {
  std::size_t releases = 0;
  ConfigUse config;
  std::uint64_t database_bytes = 0;  // 0: nothing was ever written to it
  std::uint64_t tables = 0;          // of a database on a server
  ObjectTotals objects;
};

std::uint64_t SizeOf(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// `directory`: as DataDirectory has it. Blocking.
std::uint64_t DatabaseBytes(const std::string& directory) {
  const std::uint64_t file = SizeOf(directory + "/query.db");
  const std::uint64_t log = SizeOf(directory + "/query.db-wal");
  return log == 0 && file <= kDatabasePage ? 0 : file + log;
}

// `directory`: of its database, as above.
Result<Holdings> ReadHoldings(Database& db, AppId app, const std::string& directory) {
  return Holdings{.releases = TRY(ListReleaseIds(db, app)).size(),
                  .config = TRY(ReadConfigUse(db, app)),
                  .database_bytes = DatabaseBytes(directory),
                  .objects = {}};
}

std::string CountOf(std::uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// What would be missed, a line each.
std::vector<std::string> Missed(const AppEntry& app, const Holdings& has) {
  std::vector<std::string> lines;
  if (app.live)
    lines.push_back("the live release " + app.live->version);
  if (has.objects.objects > 0)
    lines.push_back(CountOf(has.objects.objects, "object") + ", " +
                    CountOf(has.objects.bytes, "byte"));
  if (has.tables > 0)
    lines.push_back("a database on the server, " + CountOf(has.tables, "table"));
  else if (has.database_bytes > 0)
    lines.push_back("a database, " + CountOf(has.database_bytes, "byte"));
  if (has.config.keys > 0)
    lines.push_back(CountOf(has.config.keys, "key") + " of config and secrets");
  return lines;
}

Problem NotEmpty(const AppName& name, std::vector<std::string> missed) {
  return Problem{.code = ProblemCode::kAppNotEmpty,
                 .detail = name.ToString() + " has what would be lost with it:",
                 .list_name = "has",
                 .list = std::move(missed)};
}

Json DeletedJson(const AppEntry& app, const Holdings& had) {
  return {
      {"app", app.row.name.ToString()},    {"live", app.live ? Json(app.live->version) : Json()},
      {"releases", had.releases},          {"objects", had.objects.objects},
      {"object_bytes", had.objects.bytes}, {"database_bytes", had.database_bytes},
      {"database_tables", had.tables},     {"config_keys", had.config.keys}};
}

struct DeleteWish {
  AppId app;
  AppName name;
  bool force = false;
  std::string who;
};

void DeleteKnown(AdminContext& context, const DeleteWish& wish, const Holdings& has,
                 const AdminReply& reply) {
  const AppEntry* app = context.parts.releases.catalog().FindApp(wish.name);
  // It may have gone meanwhile, and another have come.
  if (app == nullptr || app->row.id != wish.app)
    return reply.Fail(NoApp(wish.name));
  if (std::vector<std::string> missed = Missed(*app, has); !wish.force && !missed.empty())
    return reply.Fail(NotEmpty(wish.name, std::move(missed)));
  context.parts.releases.owners().DeleteApp(
      wish.name, wish.who, [reply, json = DeletedJson(*app, has)](const Outcome<Done>& deleted) {
        if (deleted.ok())
          reply.Send(200, json);
        else
          reply.Fail(deleted.error());
      });
}

// One line, with what to do behind it.
Problem NotAsked(const Error& error) {
  const std::string why = error.message.substr(0, error.message.find('\n'));
  return Refused(ProblemCode::kUnavailable,
                 "what the app has on the SQL server cannot be told: " + why +
                     "; try again, or `cloister apps delete APP --force`");
}

// What cannot be counted is no reason to keep an app that is to go.
void FindDatabase(AdminContext& context, const DeleteWish& wish, const Holdings& has,
                  const AdminReply& reply) {
  if (!context.options.database_on_server)
    return DeleteKnown(context, wish, has, reply);
  context.options.database_on_server(
      wish.app, [&context, wish, has, reply](const Result<ServerDatabase>& found) {
        if (!found.ok() && !wish.force)
          return reply.Fail(NotAsked(found.error()));
        Holdings all = has;
        if (found.ok()) {
          all.tables = found.value().use.tables;
          all.database_bytes = found.value().use.bytes;
        }
        DeleteKnown(context, wish, all, reply);
      });
}

// Objects that cannot be counted are no reason to keep an app that is to go.
void CountObjects(AdminContext& context, const DeleteWish& wish, const Holdings& has,
                  const AdminReply& reply) {
  if (context.options.objects == nullptr)
    return FindDatabase(context, wish, has, reply);
  context.options.objects->Use(wish.app,
                               [&context, wish, has, reply](const Result<ObjectUse>& use) {
                                 if (!use.ok() && !wish.force)
                                   return reply.Fail(ProblemOf(Error(use.error())));
                                 Holdings all = has;
                                 if (use.ok())
                                   all.objects = use.value().totals;
                                 FindDatabase(context, wish, all, reply);
                               });
}

}  // namespace

void HandleDeleteApp(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  const Outcome<bool> force = request.query.Flag("force");
  if (!force.ok())
    return reply.Fail(force.error());
  const AppId id = app->row.id;
  context.parts.state.Read(
      id.number,
      [id, directory = DataDirectory(context.parts.state.AppDirectory(id.number), app->row.data)](
          Database& db) { return ReadHoldings(db, id, directory); },
      [&context, reply,
       wish = DeleteWish{.app = id,
                         .name = app->row.name,
                         .force = force.value(),
                         .who = request.who}](const Result<Holdings>& has) {
        if (has.ok())
          CountObjects(context, wish, has.value(), reply);
        else
          reply.Fail(ProblemOf(Error(has.error())));
      });
}

}  // namespace cloister
