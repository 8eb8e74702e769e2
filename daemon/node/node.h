#pragma once

// cloister-node: builds every part, in order, and takes them down in reverse.
//
// The order of the members is the architecture: each uses only what stands above it. The node's
// life follows the keeper's messages (daemon/keeper/succession.h has the whole order):
//
//   start as writer            open the state, route, accept and adopt connections, NodeReady
//   start without the role     NodePrepared, wait for BecomeWriter, then the same
//   Drain                      stop accepting and adopting; decide no new request: each connection
//                              is passed on, with what was read ahead, when it has the answer to
//                              the request that was decided; keep what workers are made from;
//                              pause deploys; flush logs; close the state for writing,
//                              WriterReleased; DrainDone when nothing is left. Administrators are
//                              waited for no longer than node.stop_grace
//   Stop                       there is no successor: answer what was accepted instead; what is
//                              left when the grace is over is dropped
//
// Runs on the loop thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apis/backends/object_server.h"
#include "apis/base/clock.h"
#include "apis/cache/service.h"
#include "apis/persistence/service.h"
#include "config/settings.h"
#include "daemon/admin/database_shells.h"
#include "daemon/admin/health.h"
#include "daemon/admin/operators.h"
#include "daemon/admin/server.h"
#include "daemon/calls/call_server.h"
#include "daemon/http/access_log.h"
#include "daemon/http/server.h"
#include "daemon/logs/log_store.h"
#include "daemon/loop/background.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"
#include "daemon/node/handover.h"
#include "daemon/node/late_cache.h"
#include "daemon/node/late_log.h"
#include "daemon/objects/object_responses.h"
#include "daemon/releases/backups.h"
#include "daemon/releases/configs.h"
#include "daemon/releases/images.h"
#include "daemon/releases/releases.h"
#include "daemon/router/router.h"
#include "daemon/statics/static_files.h"
#include "daemon/store/cache_generations.h"
#include "daemon/store/state.h"
#include "daemon/workers/keeper_link.h"
#include "daemon/workers/node_supervisor.h"

namespace cloister {

// The router with the operator's limit on bodies, which are charged to the app of their host.
// Requests for hosts of no app share one account.
class FrontHandler : public HttpHandler {
 public:
  FrontHandler(Router& router, Bytes body_max) : router_(router), body_max_(body_max) {}

  void Handle(Exchange& exchange) override { router_.Handle(exchange); }
  Admission Admit(const HttpRequest& head) const override {
    return {.body_max = std::min(body_max_, router_.BodyMaxOf(head.host)),
            .account = router_.AppOf(head.host).number};
  }
  void OnBodyRefused(const HttpRequest& head) override { router_.OnBodyRefused(head); }

 private:
  Router& router_;
  Bytes body_max_;
};

// The end of one server: what it releases is passed on, and when it has nothing left is told.
class ServerDrain : public DrainListener {
 public:
  ServerDrain(HandoverSender& sender, NodeServer server, std::function<void()> on_drained)
      : sender_(sender), server_(server), on_drained_(std::move(on_drained)) {}

  void Begin(HttpServer& server, DrainMode mode) {
    drained_ = false;
    server.Drain(mode, *this);
  }
  bool drained() const { return drained_; }

  void OnReleased(ReleasedConnection connection) override {
    sender_.Send({.server = server_, .connection = std::move(connection)});
  }
  void OnDrained() override {
    drained_ = true;
    on_drained_();
  }

 private:
  HandoverSender& sender_;
  NodeServer server_;
  std::function<void()> on_drained_;
  bool drained_ = false;
};

class Node : private KeeperListener {
 public:
  // `control`: the socket to the keeper. kInvalidArgument when the orders make no sense.
  static Result<std::unique_ptr<Node>> Create(NodeOrders orders, UniqueFd control);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() override = default;

  // Until the node has nothing more to do. The process's exit status.
  int Run();

 private:
  struct Sockets {
    std::vector<UniqueFd> http;
    std::vector<UniqueFd> health;
    UniqueFd admin;
    UniqueFd zygote;
    UniqueFd adopt;
    UniqueFd pass_on;
    UniqueFd cache_password;  // a file; invalid: there is no password
    UniqueFd query_password;  // the same
    UniqueFd objects_secret;  // the same
    UniqueFd node_key;        // the credential; invalid: there is none
  };

  enum class Phase { kStarting, kServing, kEnding };

  Node(const NodeStart& start, Settings settings, Sockets sockets, UniqueFd control);
  static Result<Sockets> TakeSockets(const NodeStart& start, std::vector<UniqueFd> fds);
  AdminOptions DescribeNode(const NodeStart& start);
  bool IsReady() const { return phase_ == Phase::kServing && releases_.open(); }

  void OnZygoteSocket(UniqueFd socket) override;
  void OnBecomeWriter(UniqueFd predecessor) override;
  void OnDrain(UniqueFd successor) override;
  void OnAlone() override;
  void OnStop(Millis grace) override;
  void OnKeeperLost(const Error& why) override;

  // Opens the state and serves.
  void Start();
  void OnStarted(const Result<void>& started);
  void StopAccepting(DrainMode mode);
  void Adopt(PassedConnection passed);
  // To the node that writes from now on.
  void HandOverState(const std::shared_ptr<UniqueFd>& successor);
  // Deploys are paused, then `before_flush`, then the logs are written, then `released`.
  void ReleaseState(std::function<void()> before_flush, std::function<void()> released);
  // From now on the node that follows persists the generations of apps' caches.
  void ForwardCache(int successor);
  void OnFlushed();
  // What administrators began is answered, or has had its time.
  bool AdministratorsDone() const;
  void EndWhenDone();
  void End(int status);

  Settings settings_;
  Sockets sockets_;
  bool writer_;
  SystemClock clock_;
  Loop loop_;
  KeeperLink keeper_;
  State state_;
  LogStore logs_;
  LogRelay relay_;
  Images images_;
  CallServer calls_;
  StoredCacheGenerations stored_generations_;
  LateCache cache_generations_;
  Timer cache_timer_;
  CacheService cache_;
  std::unique_ptr<ObjectServer> object_server_;    // null: larger objects are files
  std::unique_ptr<RemoteObjects> remote_objects_;  // the same
  Background object_jobs_;
  Background remote_object_jobs_;
  PersistenceService persistence_;
  ObjectResponses object_responses_;
  Configs configs_;
  Supervisor workers_;
  StaticFiles statics_;
  Router router_;
  Releases releases_;
  Backups backups_;
  DatabaseShells shells_;
  FrontHandler front_handler_;
  FileAccessLog access_log_;
  HandoverSender passed_on_;
  ServerDrain front_drain_;
  ServerDrain admin_drain_;
  ServerDrain health_drain_;
  HttpServer front_;
  Operators operators_;
  AdminServer admin_;
  HealthHandler health_;
  HttpServer admin_server_;
  HttpServer health_server_;
  std::optional<HandoverReceiver> adopted_;  // while serving
  std::unique_ptr<LateLogReader> late_log_;
  Timer near_timer_;
  Timer logs_timer_;
  Timer grace_timer_;
  Timer administrators_timer_;
  Phase phase_ = Phase::kStarting;
  bool administrators_late_ = false;  // they are waited for no longer
  bool state_released_ = false;       // nothing more is written to the state directory
  std::function<void()> on_flushed_;
  int exit_status_ = 0;
};

}  // namespace cloister
