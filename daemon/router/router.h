#pragma once

// The HttpHandler of the front end: host to app, app to its live release, release to its pool.
//
// The host map changes only with apps; each app has its own routing snapshot, replaced whole by one
// pointer (I9). A canary gets its share spread evenly over the app's requests, whoever sends them.
// Runs on the loop thread. Unknown host: a 404 that says nothing. An app without a live release:
// 503 with the code no_release.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "apis/base/names.h"
#include "daemon/http/message.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// How requests of one app are decided. Immutable.
struct RoutingSnapshot {
  AppId app_id;
  AppName app;
  ReleaseId live = {};  // none: no release is live yet
  std::string version = {};
  ReleaseId canary = {};  // none: all requests go to the live release
  std::string canary_version = {};
  std::uint32_t canary_percent = 0;  // so many of 100 requests go to the canary
};

class Router : public HttpHandler {
 public:
  // `base`: the domain under which hosts are APP.TENANT.BASE.
  Router(std::string base, WorkerSupervisor& workers);

  void Handle(Exchange& exchange) override;

  // From now on requests of the app are decided by `snapshot`; adds the app when it is new.
  void Publish(std::shared_ptr<const RoutingSnapshot> snapshot);
  void Remove(AppId app);
  // Null when there is none.
  std::shared_ptr<const RoutingSnapshot> Current(AppId app) const;
  // The app of a host as a request names it; none for a host that has no app.
  AppId AppOf(std::string_view host) const;
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
  };

  static ReleaseId Decide(Route& route);

  std::string base_;
  WorkerSupervisor& workers_;
  std::unordered_map<std::string, Route, HostHash, std::equal_to<>> by_host_;
  std::unordered_map<AppId, std::string> host_of_;
};

}  // namespace cloister
