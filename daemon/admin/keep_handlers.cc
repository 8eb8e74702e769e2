// What is kept: verifying it, and pinning releases.

#include <memory>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "apis/base/log.h"
#include "daemon/admin/handlers.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

Json FoundJson(const FoundDamage& found) {
  return {{"app", found.app.ToString()},
          {"version", found.version},
          {"release", found.release.valid() ? Json(found.release.number) : Json()},
          {"file", found.damage.file.empty() ? Json() : Json(found.damage.file)},
          {"what", found.damage.what}};
}

Json ReportJson(const VerificationReport& report) {
  Json damages = Json::array();
  for (const FoundDamage& found : report.found)
    damages.push_back(FoundJson(found));
  return {{"apps", report.apps},
          {"releases", report.releases},
          {"files", report.files},
          {"damaged_releases", report.damaged},
          {"damages", report.damages},
          {"secrets", report.secrets},
          {"sealed", report.sealed},
          {"found", std::move(damages)},
          {"objects", 0},
          {"object_damages", 0},
          {"found_objects", Json::array()},
          {"query_key", nullptr}};
}

// Objects are read app by app, after the code.
struct ObjectWalk {
  std::vector<AppRow> apps;
  std::size_t next = 0;
  Json report;
};

void AddObjects(Json& report, const AppName& app, const ObjectVerification& verified) {
  report["objects"] = report["objects"].get<std::uint64_t>() + verified.objects;
  report["object_damages"] = report["object_damages"].get<std::uint64_t>() + verified.damages;
  Json& found = report["found_objects"];
  for (const ObjectDamage& damage : verified.found)
    if (found.size() < kDamagesListedMax)
      found.push_back({{"app", app.ToString()},
                       {"id", damage.id ? Json(damage.id->Hex()) : Json()},
                       {"what", damage.what}});
  if (verified.damages > 0)
    Log(LogLevel::kError, "objects_damaged",
        {{"app", app.ToString()}, {"damages", verified.damages}});
}

// Whether the key is there by which apps find their databases on a server.
void VerifyQueryKey(AdminContext& context, const std::shared_ptr<ObjectWalk>& walk,
                    const AdminReply& reply) {
  if (!context.options.database_name)
    return reply.Send(200, walk->report);
  context.options.database_name(AppId{}, [walk, reply](const Result<std::string>& name) {
    if (!name.ok())
      walk->report["query_key"] = name.error().message;
    reply.Send(200, walk->report);
  });
}

void WalkObjects(AdminContext& context, const std::shared_ptr<ObjectWalk>& walk,
                 const AdminReply& reply) {
  PersistenceService* objects = context.options.objects;
  if (!reply.pending())
    return;
  if (objects == nullptr || walk->next == walk->apps.size())
    return VerifyQueryKey(context, walk, reply);
  objects->Verify(walk->apps[walk->next].id,
                  [&context, walk, reply](const Result<ObjectVerification>& verified) {
                    if (!verified.ok())
                      return reply.Fail(ProblemOf(Error(verified.error())));
                    AddObjects(walk->report, walk->apps[walk->next++].name, verified.value());
                    WalkObjects(context, walk, reply);
                  });
}

// Those of the query: one, or all. Empty, and the request is answered, when there is no such app.
std::optional<std::vector<AppRow>> WantedOrFail(AdminContext& context, const AdminRequest& request,
                                                const AdminReply& reply) {
  Catalog& catalog = context.parts.releases.catalog();
  std::vector<AppRow> apps;
  const std::optional<std::string> wanted = request.query.Text("app");
  if (!wanted) {
    for (const auto& [name, app] : catalog.apps())
      apps.push_back(app.row);
    return apps;
  }
  const Result<AppName> name = AppName::Parse(*wanted);
  const AppEntry* app = name.ok() ? catalog.FindApp(name.value()) : nullptr;
  if (app == nullptr) {
    reply.Fail(ProblemCode::kAppNotFound, "there is no app '" + wanted->substr(0, 80) + "'");
    return std::nullopt;
  }
  apps.push_back(app->row);
  return apps;
}

void SetPin(AdminContext& context, const AdminRequest& request, const AdminReply& reply, Pin pin) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  context.parts.releases.collector().SetPin(app->row.name, request.names[2], pin, request.who,
                                            [reply](const Outcome<Done>& pinned) {
                                              if (pinned.ok())
                                                reply.SendNothing();
                                              else
                                                reply.Fail(pinned.error());
                                            });
}

}  // namespace

void HandlePin(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  SetPin(context, request, reply, Pin::kSet);
}

void HandleUnpin(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  SetPin(context, request, reply, Pin::kUnset);
}

void HandleVerify(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  std::optional<std::vector<AppRow>> apps = WantedOrFail(context, request, reply);
  if (!apps)
    return;
  const auto walk = std::make_shared<ObjectWalk>();
  walk->apps = *apps;
  Verifier& verifier = context.parts.releases.verifier();
  const Verifier::RunId run = verifier.Verify(
      std::move(*apps), [&context, walk, reply](const Outcome<VerificationReport>& report) {
        if (!report.ok())
          return reply.Fail(report.error());
        walk->report = ReportJson(report.value());
        WalkObjects(context, walk, reply);
      });
  reply.OnGone([&verifier, run] { verifier.Cancel(run); });
}

}  // namespace cloister
