#include "daemon/router/router.h"

#include <utility>

#include "apis/base/check.h"

namespace cloister {

Router::Router(std::string base, WorkerSupervisor& workers)
    : base_(std::move(base)), workers_(workers) {}

void Router::Handle(Exchange& exchange) {
  const auto found = by_host_.find(exchange.request().host);
  if (found == by_host_.end())
    return RespondProblem(exchange, 404, "not_found", "There is nothing here.");
  const RoutingSnapshot& snapshot = *found->second.snapshot;
  if (snapshot.live.valid())
    return workers_.Dispatch(Decide(found->second), exchange);
  exchange.notes().app = snapshot.app.ToString();
  RespondProblem(exchange, 503, "no_release", "No release of this app is live yet.");
}

ReleaseId Router::Decide(Route& route) {
  const RoutingSnapshot& snapshot = *route.snapshot;
  if (!snapshot.canary.valid())
    return snapshot.live;
  route.debt += snapshot.canary_percent;
  if (route.debt < 100)
    return snapshot.live;
  route.debt -= 100;
  return snapshot.canary;
}

void Router::Publish(std::shared_ptr<const RoutingSnapshot> snapshot) {
  CHECK(snapshot != nullptr && snapshot->app_id.valid());
  std::string host = HostOf(snapshot->app);
  host_of_[snapshot->app_id] = host;
  by_host_[std::move(host)] = {.snapshot = std::move(snapshot)};
}

void Router::Remove(AppId app) {
  const auto found = host_of_.find(app);
  if (found == host_of_.end())
    return;
  // The name may have been given to another app since.
  const auto host = by_host_.find(found->second);
  if (host != by_host_.end() && host->second.snapshot->app_id == app)
    by_host_.erase(host);
  host_of_.erase(found);
}

std::shared_ptr<const RoutingSnapshot> Router::Current(AppId app) const {
  const auto host = host_of_.find(app);
  if (host == host_of_.end())
    return nullptr;
  const auto found = by_host_.find(host->second);
  if (found == by_host_.end() || found->second.snapshot->app_id != app)
    return nullptr;
  return found->second.snapshot;
}

AppId Router::AppOf(std::string_view host) const {
  const auto found = by_host_.find(host);
  return found == by_host_.end() ? AppId{} : found->second.snapshot->app_id;
}

std::string Router::HostOf(const AppName& app) const {
  return app.app() + "." + app.tenant() + "." + base_;
}

}  // namespace cloister
