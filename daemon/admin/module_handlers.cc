// Modules: what a release has loaded, and the operator's lists.

#include <nlohmann/json.hpp>

#include "daemon/admin/handlers.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kHowToChange =
    "[modules] in the settings file, then `systemctl reload cloisterd` (SIGHUP): every worker "
    "starts "
    "anew under the new lists; nothing needs a restart. An app that imports what is denied does "
    "not "
    "start any more, the live one neither";

Json FactJson(const ModuleFact& fact, const ModuleFacts& facts) {
  const bool of_app = fact.module.origin == ModuleOrigin::kApp;
  return {{"name", fact.module.name},
          {"origin", of_app ? "app" : "platform"},
          {"release", of_app ? facts.version : "Python " + facts.platform},
          {"path", fact.module.path.empty() ? Json() : Json(fact.module.path)},
          {"sha256", fact.sha256 ? Json(fact.sha256->Hex()) : Json()}};
}

}  // namespace

void HandleModuleLists(AdminContext& context, const AdminRequest& /*request*/,
                       const AdminReply& reply) {
  const ModuleSettings& modules = context.options.modules;
  reply.Send(200, {{"deny", modules.deny},
                   {"allow", modules.allow},
                   {"unknown", context.options.unknown_modules},
                   {"change", kHowToChange}});
}

void HandleModules(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  context.parts.releases.modules().List(
      app->row.name, request.query.Text("version").value_or(""),
      [name = app->row.name, reply](const Outcome<ModuleFacts>& facts) {
        if (!facts.ok())
          return reply.Fail(facts.error());
        Json answer = {{"app", name.ToString()},
                       {"version", facts.value().version},
                       {"platform", "Python " + facts.value().platform},
                       {"modules", Json::array()}};
        for (const ModuleFact& fact : facts.value().modules)
          answer["modules"].push_back(FactJson(fact, facts.value()));
        reply.Send(200, answer);
      });
}

}  // namespace cloister
