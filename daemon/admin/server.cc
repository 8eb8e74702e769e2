#include "daemon/admin/server.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/releases/uploads.h"

namespace cloister {
namespace {

constexpr Bytes kNoBody{0};
constexpr Bytes kSmallBody = KiB(16);
// The largest config there can be, all of it escaped.
constexpr Bytes kConfigBody = MiB(8);
// 20,000 files with paths of a kilobyte fit.
constexpr Bytes kFileListBody = MiB(32);

// A statement.
constexpr Bytes kSqlBody = MiB(1);

// An object; each app's quota says how large its may be.
constexpr Bytes kObjectBody = GiB(16);

constexpr std::size_t kParametersMax = 8;

struct Route {
  std::string_view method;
  std::string_view path;
  AdminHandler handler = nullptr;
  Bytes body_max;
  std::array<std::string_view, kParametersMax> parameters = {};  // the unused are empty

  std::span<const std::string_view> known() const {
    const auto end = std::find(parameters.begin(), parameters.end(), std::string_view());
    return {parameters.begin(), end};
  }
};

constexpr Route kRoutes[] = {
#define ROUTE(method, path, handler, body_max, ...) \
  {method, path, handler, body_max, {__VA_ARGS__}},
#include "daemon/admin/routes.def"
#undef ROUTE
};

// The first part of a path "/a/b" and what follows it.
std::pair<std::string_view, std::string_view> SplitPath(std::string_view path) {
  path.remove_prefix(path.starts_with('/') ? 1 : 0);
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos)
    return {path, {}};
  return {path.substr(0, slash), path.substr(slash)};
}

// What stands for the {} of `pattern`; empty when the path is another one.
std::optional<std::vector<std::string>> Match(std::string_view pattern, std::string_view path) {
  std::vector<std::string> names;
  while (!pattern.empty() && !path.empty()) {
    const auto [wanted, pattern_rest] = SplitPath(pattern);
    const auto [part, path_rest] = SplitPath(path);
    if (wanted == "{}" && !part.empty())
      names.emplace_back(part);
    else if (wanted != part)
      return std::nullopt;
    pattern = pattern_rest;
    path = path_rest;
  }
  if (!pattern.empty() || !path.empty())
    return std::nullopt;
  return names;
}

struct Found {
  const Route* route = nullptr;  // null: none for this method
  std::vector<std::string> names;
  bool path_known = false;
};

Found FindRoute(std::string_view method, std::string_view path) {
  Found found;
  for (const Route& route : kRoutes) {
    std::optional<std::vector<std::string>> names = Match(route.path, path);
    if (!names)
      continue;
    found.path_known = true;
    if (route.method != method)
      continue;
    found.route = &route;
    found.names = std::move(*names);
    break;
  }
  return found;
}

}  // namespace

std::string AdminContext::UrlOf(const AppName& app) const {
  const bool usual = options.url_port == (options.url_scheme == "https" ? 443 : 80);
  return options.url_scheme + "://" + parts.router.HostOf(app) +
         (usual ? "" : ":" + std::to_string(options.url_port)) + "/";
}

AppEntry* FindAppOrFail(AdminContext& context, const AdminRequest& request,
                        const AdminReply& reply) {
  const std::string shown = request.names[0].substr(0, 40) + "/" + request.names[1].substr(0, 40);
  const Result<AppName> name = AppName::Create(request.names[0], request.names[1]);
  Catalog& catalog = context.parts.releases.catalog();
  AppEntry* app = name.ok() ? catalog.FindApp(name.value()) : nullptr;
  if (app != nullptr)
    return app;
  if (catalog.FindTenant(request.names[0]) == nullptr)
    reply.Fail(ProblemCode::kTenantNotFound,
               "there is no tenant '" + request.names[0].substr(0, 40) + "'");
  else
    reply.Fail(ProblemCode::kAppNotFound, "there is no app '" + shown + "'");
  return nullptr;
}

AdminServer::AdminServer(const AdminParts& parts, AdminOptions options, Operators& operators)
    : context_{.parts = parts, .options = std::move(options)},
      operators_(operators),
      health_([&releases = parts.releases] { return releases.open(); }),
      calls_(std::make_shared<AdminCalls>()) {}

Admission AdminServer::Admit(const HttpRequest& head) const {
  const Found found = FindRoute(head.method, head.path());
  // A little more than nothing: clients send empty JSON objects.
  return {.body_max = std::max(found.route == nullptr ? kNoBody : found.route->body_max, KiB(1))};
}

void AdminServer::Handle(Exchange& exchange) {
  const HttpRequest& request = exchange.request();
  if (HealthHandler::IsHealthPath(request.path()))
    return health_.Handle(exchange);
  const AdminReply reply(calls_, calls_->Add(exchange));
  if (!request.peer_uid || !request.peer_gid ||
      !operators_.Allows(*request.peer_uid, *request.peer_gid))
    return reply.Fail(
        ProblemCode::kNotOperator,
        "ask as root, as the node's own user, or as a member of the operators' group");
  Found found = FindRoute(request.method, request.path());
  if (!found.path_known)
    return reply.Fail(ProblemCode::kRouteNotFound,
                      "nothing at " + std::string(request.path().substr(0, 200)));
  if (found.route == nullptr)
    return reply.Fail(
        ProblemCode::kMethodNotAllowed,
        std::string(request.method) + " is not for " + std::string(request.path().substr(0, 200)));
  Outcome<Query> query = Query::Parse(request.query(), found.route->known());
  if (!query.ok())
    return reply.Fail(query.error());
  const AdminRequest asked{.names = std::move(found.names),
                           .query = std::move(query).value(),
                           .body = TakeBody(exchange),
                           .who = "uid " + std::to_string(*request.peer_uid)};
  found.route->handler(context_, asked, reply);
}

}  // namespace cloister
