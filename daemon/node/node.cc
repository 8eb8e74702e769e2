#include "daemon/node/node.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <sstream>
#include <utility>

#include "apis/base/log.h"
#include "config/parser.h"
#include "daemon/node/node_settings.h"
#include "sandbox/image/platform.h"

namespace cloister {
namespace {

// The next node does not wait longer than this for logs that a slow disk does not take: what is not
// written by then is written beside it.
constexpr Millis kLogsMax{2000};
// They wait for disks most of the time.
constexpr std::size_t kObjectThreads = 4;
// These for a server, if there is one.
constexpr std::size_t kRemoteObjectThreads = 8;

// The port that a listening TCP socket has.
std::uint16_t PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return 0;
  if (address.ss_family == AF_INET)
    return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
}

// Jobs of apps, on these threads.
std::function<void(AppId, std::function<std::function<void()>()>)> RunOn(Background& threads) {
  return [&threads](AppId app, std::function<std::function<void()>()> job) {
    threads.Run(app.number, std::move(job), [](const std::function<void()>& then) { then(); });
  };
}

// For people.
std::string DatabaseServerState(const QueryProcesses& queries) {
  const std::string& trouble = queries.server_trouble();
  return trouble.empty() ? "on the server" : "the server fails: " + trouble;
}

// For people.
std::string ObjectServerState(const ObjectServer& server) {
  const std::string trouble = server.trouble();
  return trouble.empty() ? "larger ones on the server" : "the server fails: " + trouble;
}

// For people.
std::string CacheState(const CacheService& cache) {
  if (cache.redis().connected()) {
    const std::string advice = cache.Advice();
    return advice.empty() ? "connected" : "connected; " + advice;
  }
  const std::string& trouble = cache.redis().trouble();
  if (trouble.empty())
    return "connecting";
  const bool never = cache.redis().counters().connected == 0;
  return "down: " + trouble + (never ? "; it was never reached" : "");
}

std::string CacheUseText(const CacheCounters& use) {
  return std::to_string(use.calls) + " calls, " + std::to_string(use.hits) + " keys found (" +
         std::to_string(use.near) + " near), " + std::to_string(use.misses) + " keys missed, " +
         std::to_string(use.evicted) + " evicted, " + std::to_string(use.failed) +
         " calls failed, " + std::to_string(use.invalidated) + " times begun anew";
}

}  // namespace

AdminOptions Node::DescribeNode(const NodeStart& start) {
  AdminOptions options;
  options.version = CLOISTER_VERSION;
  options.url_port = PortOf(sockets_.http.front().get());
  options.started_at = clock_.Wall();
  options.modules = settings_.modules;
  if (const Result<std::string> image = PlatformImagePath(); image.ok())
    options.unknown_modules = FindUnknownModules(settings_.modules, image.value());
  for (const std::string& name : options.unknown_modules)
    Log(LogLevel::kWarning, "module_unknown", {{"name", name}});
  options.facts = [this, generation = start.generation, cgroups = start.cgroups,
                   uids = start.per_worker_uids != 0] {
    std::vector<StatusFact> facts{
        {"generation", std::to_string(generation)},
        {"cgroups", cgroups},
        {"worker_uids", uids ? "one each" : "shared"},
        {"connections", std::to_string(front_.connections())},
        {"requests", std::to_string(front_.counters().requests)},
        {"workers", std::to_string(workers_.List().size())},
        {"cache", CacheState(cache_)},
        {"cache_use", CacheUseText(cache_.counters())},
    };
    if (workers_.queries()->on_server())
      facts.emplace_back("databases", DatabaseServerState(*workers_.queries()));
    if (object_server_ != nullptr)
      facts.emplace_back("objects", ObjectServerState(*object_server_));
    return facts;
  };
  options.cache_use = [this](AppId app) { return cache_.UseOf(app); };
  options.query_use = [this](AppId app) { return workers_.queries()->UseOf(app); };
  if (QueryProcesses* queries = workers_.queries(); queries->on_server()) {
    options.database_name = [queries](AppId app, std::function<void(Result<std::string>)> done) {
      queries->FindName(app, std::move(done));
    };
    options.database_on_server = [queries](AppId app,
                                           std::function<void(Result<ServerDatabase>)> done) {
      queries->FindOnServer(app, std::move(done));
    };
  }
  options.objects = &persistence_;
  options.backups = &backups_;
  options.shells = &shells_;
  options.database_engine = DatabaseEngine(settings_);
  return options;
}

Result<Node::Sockets> Node::TakeSockets(const NodeStart& start, std::vector<UniqueFd> fds) {
  Sockets sockets;
  const std::map<std::string, UniqueFd*, std::less<>> single = {
      {"admin", &sockets.admin},
      {"zygote", &sockets.zygote},
      {"adopt", &sockets.adopt},
      {"pass_on", &sockets.pass_on},
      {"cache_password", &sockets.cache_password},
      {"query_password", &sockets.query_password},
      {"objects_secret", &sockets.objects_secret},
      {"node_key", &sockets.node_key}};
  std::istringstream names(start.fd_names);
  std::string name;
  std::size_t taken = 0;
  while (names >> name) {
    if (taken == fds.size())
      return Error{ErrorCode::kProtocol, "fewer descriptors than names"};
    UniqueFd fd = std::move(fds[taken++]);
    if (name == "http")
      sockets.http.push_back(std::move(fd));
    else if (name == "health")
      sockets.health.push_back(std::move(fd));
    else if (const auto found = single.find(name); found != single.end())
      *found->second = std::move(fd);
    else
      return Error{ErrorCode::kProtocol, "a descriptor of unknown name: " + name};
  }
  if (taken != fds.size() || !sockets.admin.valid() || sockets.http.empty() ||
      !sockets.adopt.valid() || !sockets.pass_on.valid())
    return Error{ErrorCode::kProtocol, "descriptors that do not match their names"};
  return sockets;
}

Result<std::unique_ptr<Node>> Node::Create(NodeOrders orders, UniqueFd control) {
  Settings settings = TRY(ParseSettings(orders.start.settings, "settings of the keeper"));
  settings.node.state_dir = orders.start.state_dir;
  // Before there is a thread.
  OpenLog("cloister-node", settings.node.log_level);
  Sockets sockets = TRY(TakeSockets(orders.start, std::move(orders.fds)));
  return std::unique_ptr<Node>(
      new Node(orders.start, std::move(settings), std::move(sockets), std::move(control)));
}

Node::Node(const NodeStart& start, Settings settings, Sockets sockets, UniqueFd control)
    : settings_(std::move(settings)),
      sockets_(std::move(sockets)),
      writer_(start.writer != 0),
      keeper_(loop_, std::move(control), *this),
      state_(loop_, settings_.node.state_dir),
      logs_(loop_, clock_, settings_.node.state_dir, LogLimitsOf(settings_.log)),
      relay_(loop_, logs_),
      images_(loop_, state_, {}),
      calls_(clock_, relay_),
      stored_generations_(state_),
      cache_generations_(loop_, stored_generations_),
      cache_timer_(loop_),
      cache_({.loop = loop_.uv(),
              .clock = clock_,
              .answers = calls_,
              .generations = cache_generations_,
              .later =
                  [this](Millis delay, std::function<void()> task) {
                    cache_timer_.Start(delay, std::move(task));
                  }},
             CacheOptions(settings_, loop_, sockets_.cache_password)),
      object_server_(MakeObjectServer(settings_, sockets_.objects_secret)),
      remote_objects_(object_server_ ? std::make_unique<RemoteObjects>(*object_server_) : nullptr),
      object_jobs_(loop_, kObjectThreads),
      remote_object_jobs_(loop_, object_server_ ? kRemoteObjectThreads : 1),
      persistence_({.clock = clock_,
                    .answers = calls_,
                    .run = RunOn(object_jobs_),
                    .apps_directory = settings_.node.state_dir + "/apps",
                    .remote = remote_objects_.get(),
                    .run_remote = RunOn(remote_object_jobs_)}),
      object_responses_({.clock = clock_, .objects = persistence_, .logs = relay_}, {}),
      configs_(state_,
               std::make_shared<NodeKey>(settings_.node.state_dir, std::move(sockets_.node_key))),
      workers_({.loop = loop_,
                .clock = clock_,
                .control = keeper_,
                .images = images_,
                .logs = relay_,
                .calls = calls_,
                .configs = &configs_,
                .state_dir = settings_.node.state_dir,
                .objects = &object_responses_},
               WorkersOptions(settings_, sockets_.query_password)),
      statics_(loop_, images_, {}),
      router_(settings_.node.base_domain, {.workers = workers_, .logs = relay_, .clock = clock_}),
      releases_({.loop = loop_,
                 .clock = clock_,
                 .state = state_,
                 .images = images_,
                 .configs = configs_,
                 .logs = logs_,
                 .workers = workers_,
                 .router = router_,
                 .calls = calls_,
                 .databases = workers_.queries()},
                QuotaOf(settings_), settings_.releases),
      backups_(loop_, settings_.node.state_dir, workers_.queries()),
      shells_({.loop = loop_, .clock = clock_, .queries = *workers_.queries(), .logs = relay_}),
      front_handler_(router_, settings_.http.body_max),
      access_log_(loop_, UniqueFd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1))),
      passed_on_(loop_, std::move(sockets_.pass_on)),
      front_drain_(passed_on_, NodeServer::kFront, [this] { EndWhenDone(); }),
      admin_drain_(passed_on_, NodeServer::kAdmin, [this] { EndWhenDone(); }),
      health_drain_(passed_on_, NodeServer::kHealth, [this] { EndWhenDone(); }),
      front_(loop_, clock_, FrontSettings(settings_), front_handler_, &access_log_),
      operators_(clock_, {::getuid()}, settings_.admin.group),
      admin_({.clock = clock_,
              .state = state_,
              .releases = releases_,
              .logs = logs_,
              .workers = workers_,
              .router = router_,
              .calls = calls_},
             DescribeNode(start), operators_),
      health_([this] { return IsReady(); }),
      admin_server_(loop_, clock_, AdminServerSettings(settings_), admin_, nullptr),
      health_server_(loop_, clock_, AdminServerSettings(settings_), health_, nullptr),
      near_timer_(loop_),
      logs_timer_(loop_),
      grace_timer_(loop_),
      administrators_timer_(loop_) {
  passed_on_.SetIdleCallback([this] { EndWhenDone(); });
  cache_generations_.SetService(cache_);
  calls_.SetService(Api::kCache, cache_);
  calls_.SetService(Api::kPersistence, persistence_);
  workers_.SetRerouter(&router_);
  router_.SetStatics(&statics_);
  if (sockets_.zygote.valid())
    workers_.SetZygote(std::move(sockets_.zygote));
}

int Node::Run() {
  if (writer_)
    Start();
  else
    keeper_.Send(NodePrepared{});
  loop_.Run();
  return exit_status_;
}

void Node::Start() {
  releases_.Start([this](const Result<void>& started) { OnStarted(started); });
}

void Node::OnStarted(const Result<void>& started) {
  if (!started.ok()) {
    Log(LogLevel::kError, "state_not_opened", {{"error", started.error().message}});
    return End(1);
  }
  // Told to go before it had begun: nothing was accepted.
  if (phase_ != Phase::kStarting)
    return;
  phase_ = Phase::kServing;
  backups_.Start();
  for (UniqueFd& fd : sockets_.http)
    front_.Listen(std::move(fd));
  for (UniqueFd& fd : sockets_.health)
    health_server_.Listen(std::move(fd));
  admin_server_.Listen(std::move(sockets_.admin));
  adopted_.emplace(loop_, std::move(sockets_.adopt),
                   [this](PassedConnection passed) { Adopt(std::move(passed)); });
  keeper_.Send(NodeReady{});
}

void Node::OnZygoteSocket(UniqueFd socket) {
  workers_.SetZygote(std::move(socket));
}

void Node::OnBecomeWriter(UniqueFd predecessor) {
  if (phase_ == Phase::kEnding)
    return;
  if (predecessor.valid())
    late_log_ = std::make_unique<LateLogReader>(
        loop_, std::move(predecessor), logs_,
        [this](UniqueFd socket) { cache_generations_.Follow(std::move(socket)); });
  Start();
}

void Node::OnKeeperLost(const Error& why) {
  Log(LogLevel::kError, "keeper_lost", {{"error", why.message}});
  End(1);
}

void Node::StopAccepting(DrainMode mode) {
  phase_ = Phase::kEnding;
  administrators_late_ = false;
  // Of a node that has not served.
  sockets_.http.clear();
  sockets_.health.clear();
  sockets_.admin.Reset();
  front_drain_.Begin(front_, mode);
  health_drain_.Begin(health_server_, mode);
  admin_drain_.Begin(admin_server_, mode);
  logs_.EndWaits();
  shells_.End();
}

void Node::Adopt(PassedConnection passed) {
  switch (passed.server) {
    case NodeServer::kFront:
      return front_.Adopt(std::move(passed.connection));
    case NodeServer::kAdmin:
      return admin_server_.Adopt(std::move(passed.connection));
    case NodeServer::kHealth:
      return health_server_.Adopt(std::move(passed.connection));
  }
}

void Node::OnAlone() {
  if (phase_ != Phase::kServing || !settings_.cache.near)
    return;
  cache_.SetNear(true);
  near_timer_.Repeat(CacheNear::kAgeMax, [this] { cache_.ExpireNear(); });
}

void Node::OnDrain(UniqueFd successor) {
  // The next one writes what this one would still have near.
  near_timer_.Stop();
  cache_.SetNear(false);
  if (phase_ == Phase::kEnding)
    return;
  adopted_.reset();
  StopAccepting(DrainMode::kHandOver);
  administrators_timer_.Start(settings_.node.stop_grace, [this] {
    administrators_late_ = true;
    if (!admin_drain_.drained() || !health_drain_.drained())
      Log(LogLevel::kWarning, "administrators_late",
          {{"connections", admin_server_.connections() + health_server_.connections()}});
    EndWhenDone();
  });
  auto socket = std::make_shared<UniqueFd>(std::move(successor));
  // Once the successor writes, the secrets of the configs that serve here may go from the state.
  workers_.KeepParts([this, socket] { HandOverState(socket); });
}

void Node::HandOverState(const std::shared_ptr<UniqueFd>& successor) {
  ReleaseState(
      [this, successor] {
        relay_.SetIdleCallback([this] { EndWhenDone(); });
        ForwardCache(successor->get());
        relay_.Forward(std::move(*successor));
      },
      [this] {
        state_.CloseWriter([this] {
          keeper_.Send(WriterReleased{});
          state_released_ = true;
          EndWhenDone();
        });
      });
}

void Node::ForwardCache(int successor) {
  const UniqueFd theirs = cache_generations_.Forward();
  if (successor < 0 || !theirs.valid())
    return;
  const Result<void> sent = SendPacket(successor, EncodeMessage(LateCacheSocket{}), {theirs.get()});
  if (!sent.ok())
    Log(LogLevel::kError, "late_cache_missing", {{"error", sent.error().message}});
}

void Node::OnStop(Millis grace) {
  // A second Stop shortens the grace.
  grace_timer_.Start(grace, [this] {
    Log(LogLevel::kWarning, "stop_grace_over",
        {{"connections", front_.connections()},
         {"administrators", admin_server_.connections() + health_server_.connections()}});
    End(0);
  });
  administrators_timer_.Stop();
  const bool ending = phase_ == Phase::kEnding;
  StopAccepting(DrainMode::kClose);
  for (PassedConnection& passed : passed_on_.TakeBack())
    Adopt(std::move(passed));
  if (ending)
    return;
  ReleaseState([] {},
               [this] {
                 state_.Close([this] {
                   state_released_ = true;
                   EndWhenDone();
                 });
               });
}

void Node::ReleaseState(std::function<void()> before_flush, std::function<void()> released) {
  // Nothing may be added to the logs between their flush and the successor's first event.
  releases_.Close([this, before = std::move(before_flush), released = std::move(released)] {
    before();
    on_flushed_ = released;
    logs_timer_.Start(kLogsMax, [this] {
      Log(LogLevel::kWarning, "logs_late");
      OnFlushed();
    });
    logs_.Flush([this] { OnFlushed(); });
  });
}

void Node::OnFlushed() {
  logs_timer_.Stop();
  if (on_flushed_)
    std::exchange(on_flushed_, nullptr)();
}

bool Node::AdministratorsDone() const {
  return administrators_late_ || (admin_drain_.drained() && health_drain_.drained());
}

void Node::EndWhenDone() {
  if (phase_ != Phase::kEnding || !front_drain_.drained() || !AdministratorsDone() ||
      !state_released_ || !relay_.idle() || !passed_on_.idle())
    return;
  // Workers log until they end: what they said is written before the node goes.
  logs_.Flush([this] {
    keeper_.Send(DrainDone{});
    End(0);
  });
}

void Node::End(int status) {
  exit_status_ = status;
  loop_.Stop();
}

}  // namespace cloister
