#pragma once

// The HttpHandler of the front end: host to app, app to its live release, release to its pool, or
// to its static files.
//
// The host map changes only with apps; each app has its own routing snapshot, replaced whole by one
// pointer (I9). A canary gets its share spread evenly over the app's requests, whoever sends them.
// A request over the app's quota of requests is answered here. Runs on the loop thread. Unknown
// host: a 404 that says nothing. An app without a live release: 503 with the code no_release.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "apis/base/clock.h"
#include "apis/base/names.h"
#include "apis/base/units.h"
#include "apis/quota/quota.h"
#include "daemon/http/message.h"
#include "daemon/logs/log_event.h"
#include "daemon/statics/static_files.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// How requests of one app are decided. Immutable.
struct RoutingSnapshot {
  AppId app_id;
  AppName app;
  ReleaseId live = {};  // none: no release is live yet
  std::string version = {};
  std::uint64_t config = 0;  // the version of the app's config with which both run; 0: none
  ReleaseId canary = {};     // none: all requests go to the live release
  std::string canary_version = {};
  std::uint32_t canary_percent = 0;  // so many of 100 requests go to the canary
  // Of the app's quota.
  std::uint32_t requests_rate = 500;  // a second, and at once
  Bytes body_max = MiB(32);
  // Which paths of each are files; null: none.
  std::shared_ptr<const StaticRoutes> live_statics = {};
  std::shared_ptr<const StaticRoutes> canary_statics = {};
};

// What an app uses of its quotas that the router counts.
struct RouteUse {
  std::uint64_t requests = 0;        // of those that may come at once
  std::uint64_t refused = 0;         // since the node process began
  std::uint64_t bodies_refused = 0;  // since then
};

// What a request is given to.
struct RouteTarget {
  RunId run;
  const AppName& app;
  std::string_view version;
  const StaticRoutes* statics = nullptr;  // null: none
};

class Router : public HttpHandler {
 public:
  struct Parts {
    WorkerSupervisor& workers;
    LogSink& logs;
    const Clock& clock;
  };

  // `base`: the domain under which hosts are APP.TENANT.BASE.
  Router(std::string base, const Parts& parts);

  // Who serves static files. Null, as at first: nobody, all goes to workers.
  void SetStatics(StaticFiles* statics) { statics_ = statics; }

  void Handle(Exchange& exchange) override;
  void OnBodyRefused(const HttpRequest& head) override;
  // To that release, whatever is live: its file, or its workers.
  void Serve(const RouteTarget& target, Exchange& exchange);

  // From now on requests of the app are decided by `snapshot`; adds the app when it is new.
  void Publish(std::shared_ptr<const RoutingSnapshot> snapshot);
  void Remove(AppId app);
  // Null when there is none.
  std::shared_ptr<const RoutingSnapshot> Current(AppId app) const;
  // The app of a host as a request names it; none for a host that has no app.
  AppId AppOf(std::string_view host) const;
  // The largest body of a request for that host.
  Bytes BodyMaxOf(std::string_view host) const;
  RouteUse UseOf(AppId app) const;
  std::string HostOf(const AppName& app) const;

 private:
  // Found by the view that the request gives.
  struct HostHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view host) const {
      return std::hash<std::string_view>{}(host);
    }
  };

  struct Route {
    std::shared_ptr<const RoutingSnapshot> snapshot;
    std::uint32_t debt = 0;  // what is owed to the canary, in hundredths of a request
    TokenBucket requests{0, 0};
    QuotaNotice notice;
    QuotaNotice body_notice;
  };

  static RouteTarget Decide(Route& route);
  // Whether the app's quota has room for one more request; else it is answered.
  bool TakeRequest(Route& route, Exchange& exchange);
  void Say(const RoutingSnapshot& snapshot, std::string text);
  const Route* FindRoute(AppId app) const;
  // Whether the release has the file that is asked for, or can only tell later. `again`: what then.
  bool ServeFile(const RouteTarget& target, Exchange& exchange,
                 const std::function<void(Exchange&)>& again);
  // Lets go of the files of what `former` was routed to and `next` is not.
  void ForgetFiles(const RoutingSnapshot& former, const RoutingSnapshot* next);

  std::string base_;
  Parts parts_;
  StaticFiles* statics_ = nullptr;
  std::unordered_map<std::string, Route, HostHash, std::equal_to<>> by_host_;
  std::unordered_map<AppId, std::string> host_of_;
};

}  // namespace cloister
