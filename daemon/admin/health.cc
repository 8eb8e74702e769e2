#include "daemon/admin/health.h"

#include "daemon/releases/problem.h"

namespace cloister {
namespace {

void Fail(Exchange& exchange, ProblemCode code, std::string_view detail) {
  const ProblemInfo& info = InfoOf(code);
  RespondProblem(exchange, info.status, info.code, detail);
}

}  // namespace

void HealthHandler::Handle(Exchange& exchange) {
  const HttpRequest& request = exchange.request();
  const std::string_view path = request.path();
  if (!IsHealthPath(path))
    return Fail(exchange, ProblemCode::kRouteNotFound, "there are /healthz and /readyz here");
  if (request.method != "GET" && request.method != "HEAD")
    return Fail(exchange, ProblemCode::kMethodNotAllowed, "only GET and HEAD");
  if (path == "/readyz" && !is_ready_())
    return Fail(exchange, ProblemCode::kUnavailable, "the node is starting or stopping");
  exchange.Respond(200, {{.name = "Content-Type", .value = "text/plain"}}, "ok\n");
}

Admission HealthHandler::Admit(const HttpRequest& /*head*/) const {
  return {.body_max = KiB(1)};
}

}  // namespace cloister
