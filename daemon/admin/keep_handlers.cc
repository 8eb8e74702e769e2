// What is kept: verifying it, and pinning releases.

#include <nlohmann/json.hpp>

#include "daemon/admin/handlers.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

Json FoundJson(const FoundDamage& found) {
  return {{"app", found.app.ToString()},
          {"version", found.version},
          {"release", found.release.number},
          {"file", found.damage.file.empty() ? Json() : Json(found.damage.file)},
          {"what", found.damage.what}};
}

Json ReportJson(const VerificationReport& report) {
  Json damages = Json::array();
  for (const FoundDamage& found : report.found)
    damages.push_back(FoundJson(found));
  return {{"apps", report.apps},       {"releases", report.releases},
          {"files", report.files},     {"damaged_releases", report.damaged},
          {"damages", report.damages}, {"found", std::move(damages)}};
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
  Verifier& verifier = context.parts.releases.verifier();
  const Verifier::RunId run =
      verifier.Verify(std::move(*apps), [reply](const Outcome<VerificationReport>& report) {
        if (report.ok())
          reply.Send(200, ReportJson(report.value()));
        else
          reply.Fail(report.error());
      });
  reply.OnGone([&verifier, run] { verifier.Cancel(run); });
}

}  // namespace cloister
