#include "daemon/router/router.h"

#include <utility>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr std::uint8_t kWarningLevel = 30;  // of the standard library's logging

}  // namespace

Router::Router(std::string base, const Parts& parts) : base_(std::move(base)), parts_(parts) {}

void Router::Handle(Exchange& exchange) {
  const auto found = by_host_.find(exchange.request().host);
  if (found == by_host_.end())
    return RespondProblem(exchange, 404, "not_found", "There is nothing here.");
  const RoutingSnapshot& snapshot = *found->second.snapshot;
  if (!TakeRequest(found->second, exchange))
    return;
  if (snapshot.live.valid()) {
    const RouteTarget target = Decide(found->second);
    // After a wait the newest snapshot decides anew.
    if (!ServeFile(target, exchange, [this](Exchange& waiting) { Handle(waiting); }))
      parts_.workers.Dispatch(target.run, exchange);
    return;
  }
  exchange.notes().app = snapshot.app.ToString();
  RespondProblem(exchange, 503, "no_release", "No release of this app is live yet.");
}

bool Router::TakeRequest(Route& route, Exchange& exchange) {
  // One that comes back, from a retired release or a wait for its files, was counted.
  if (std::exchange(exchange.notes().counted, true))
    return true;
  const MonotonicTime now = exchange.request().received_at;
  const RoutingSnapshot& snapshot = *route.snapshot;
  const auto limit = [&snapshot] {
    return std::to_string(snapshot.requests_rate) + " requests a second";
  };
  if (route.requests.Take(1, now)) {
    if (route.requests.used() >= kQuotaNear && route.notice.Near(now))
      Say(snapshot, NearText("limits.requests", limit(), route.requests.used()));
    return true;
  }
  exchange.notes().app = snapshot.app.ToString();
  RespondProblem(exchange, 503, "requests_exceeded", "This app gets too many requests a second.",
                 route.requests.RetryAfter(1));
  if (const auto refused = route.notice.Refuse(now))
    Say(snapshot, CountOfRequests(*refused) + " refused with a 503: there were more than " +
                      limit() +
                      ", the quota limits.requests. Let clients cache what they can, or ask the "
                      "node's operator "
                      "for more.");
  return false;
}

void Router::OnBodyRefused(const HttpRequest& head) {
  const auto found = by_host_.find(head.host);
  if (found == by_host_.end())
    return;
  const RoutingSnapshot& snapshot = *found->second.snapshot;
  if (const auto refused = found->second.body_notice.Refuse(head.received_at))
    Say(snapshot,
        CountOfRequests(*refused) + " refused with a 413: the body was larger than " +
            std::to_string(snapshot.body_max.count) +
            " bytes, the quota limits.body, or than the node takes. Let clients send less "
            "at a time, or ask the node's operator for more.");
}

void Router::Say(const RoutingSnapshot& snapshot, std::string text) {
  LogEvent event;
  event.time = parts_.clock.Wall();
  event.app = snapshot.app_id;
  event.app_name = snapshot.app.ToString();
  event.release = snapshot.version;
  event.source = LogSource::kRuntime;
  event.by_node = true;
  event.level = kWarningLevel;
  event.bytes = std::move(text);
  parts_.logs.Append(std::move(event));
}

RouteTarget Router::Decide(Route& route) {
  const RoutingSnapshot& snapshot = *route.snapshot;
  const RouteTarget live{.run = {.release = snapshot.live, .config = snapshot.config},
                         .app = snapshot.app,
                         .version = snapshot.version,
                         .statics = snapshot.live_statics.get()};
  if (!snapshot.canary.valid())
    return live;
  route.debt += snapshot.canary_percent;
  if (route.debt < 100)
    return live;
  route.debt -= 100;
  return {.run = {.release = snapshot.canary, .config = snapshot.config},
          .app = snapshot.app,
          .version = snapshot.canary_version,
          .statics = snapshot.canary_statics.get()};
}

bool Router::ServeFile(const RouteTarget& target, Exchange& exchange,
                       const std::function<void(Exchange&)>& again) {
  if (statics_ == nullptr || target.statics == nullptr)
    return false;
  const StaticSite site{.release = target.run.release,
                        .app = target.app,
                        .version = target.version,
                        .routes = *target.statics};
  switch (statics_->Answer(site, exchange)) {
    case StaticFiles::Found::kAnswered:
      return true;
    case StaticFiles::Found::kNotLoaded:
      statics_->Load(target.run.release, exchange, again);
      return true;
    case StaticFiles::Found::kNoFile:
      return false;
  }
  return false;
}

void Router::Serve(const RouteTarget& target, Exchange& exchange) {
  const auto again = [this, run = target.run, app = target.app,
                      version = std::string(target.version),
                      statics = target.statics](Exchange& waiting) {
    Serve({.run = run, .app = app, .version = version, .statics = statics}, waiting);
  };
  if (!ServeFile(target, exchange, again))
    parts_.workers.Dispatch(target.run, exchange);
}

void Router::Publish(std::shared_ptr<const RoutingSnapshot> snapshot) {
  CHECK(snapshot != nullptr && snapshot->app_id.valid());
  std::string host = HostOf(snapshot->app);
  host_of_[snapshot->app_id] = host;
  Route& route = by_host_[std::move(host)];
  if (route.snapshot != nullptr)
    ForgetFiles(*route.snapshot, snapshot.get());
  const bool is_new = route.snapshot == nullptr || route.snapshot->app_id != snapshot->app_id;
  const double rate = snapshot->requests_rate;
  if (is_new)
    route = {
        .snapshot = nullptr, .debt = 0, .requests = {rate, rate}, .notice = {}, .body_notice = {}};
  else
    route.requests.Set(rate, rate);
  route.snapshot = std::move(snapshot);
  route.debt = 0;
}

void Router::Remove(AppId app) {
  const auto found = host_of_.find(app);
  if (found == host_of_.end())
    return;
  // The name may have been given to another app since.
  const auto host = by_host_.find(found->second);
  if (host != by_host_.end() && host->second.snapshot->app_id == app) {
    ForgetFiles(*host->second.snapshot, nullptr);
    by_host_.erase(host);
  }
  host_of_.erase(found);
}

void Router::ForgetFiles(const RoutingSnapshot& former, const RoutingSnapshot* next) {
  if (statics_ == nullptr)
    return;
  for (const ReleaseId release : {former.live, former.canary})
    if (next == nullptr || (release != next->live && release != next->canary))
      statics_->Forget(release);
}

const Router::Route* Router::FindRoute(AppId app) const {
  const auto host = host_of_.find(app);
  if (host == host_of_.end())
    return nullptr;
  const auto found = by_host_.find(host->second);
  if (found == by_host_.end() || found->second.snapshot->app_id != app)
    return nullptr;
  return &found->second;
}

std::shared_ptr<const RoutingSnapshot> Router::Current(AppId app) const {
  const Route* route = FindRoute(app);
  return route == nullptr ? nullptr : route->snapshot;
}

RouteUse Router::UseOf(AppId app) const {
  const Route* route = FindRoute(app);
  if (route == nullptr)
    return {};
  return {.requests = static_cast<std::uint64_t>(route->requests.UsedAt(parts_.clock.Now())),
          .refused = route->notice.refused(),
          .bodies_refused = route->body_notice.refused()};
}

Bytes Router::BodyMaxOf(std::string_view host) const {
  const auto found = by_host_.find(host);
  return found == by_host_.end() ? kDefaultBodyMax : found->second.snapshot->body_max;
}

AppId Router::AppOf(std::string_view host) const {
  const auto found = by_host_.find(host);
  return found == by_host_.end() ? AppId{} : found->second.snapshot->app_id;
}

std::string Router::HostOf(const AppName& app) const {
  return app.app() + "." + app.tenant() + "." + base_;
}

}  // namespace cloister
