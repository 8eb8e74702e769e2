#include "daemon/keeper/nodes.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "apis/base/log.h"
#include "daemon/keeper/time_slice.h"

namespace cloister {
namespace {

// A successor that is not prepared by then is given up; the older node stays.
constexpr Millis kPrepareMax{60000};
// A node that was told to drain and does not release the state directory (it is stopped) is killed:
// its requests are lost, but the next one serves.
constexpr Millis kReleaseMax{10000};
// From a node's last word to its end.
constexpr Millis kEndMax{5000};
// Node processes are beside the groups of apps and come before them: every app waits for them.
constexpr const char* kNodeGroup = "node";
constexpr std::uint64_t kNodeCpuWeight = 1000;

// A duplicate that a packet can own.
Result<UniqueFd> Duplicate(int fd) {
  UniqueFd duplicate(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!duplicate.valid())
    return SystemError("duplicating a descriptor");
  return duplicate;
}

// The node's key as the service manager gives it (LoadCredential=cloister-node-key). Invalid: it
// does not; the node then has a file of its own. Opened here: a node with a uid of its own could
// not.
Result<UniqueFd> OpenKeyCredential() {
  const char* directory = ::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || *directory == '\0')
    return UniqueFd();
  const std::string path = std::string(directory) + "/cloister-node-key";
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid() && errno != ENOENT)
    return SystemError("opening the credential " + path);
  return fd;
}

}  // namespace

Result<void> Nodes::Start(std::string settings) {
  settings_ = settings;
  served_settings_ = std::move(settings);
  auto [adopt, pass_on] = TRY(MakeControlPair());
  adopt_ = std::move(adopt);
  pass_on_ = std::move(pass_on);
  return StartOne();
}

Result<void> Nodes::StartOne() {
  auto [link, child_end] = TRY(ControlLink::Create());
  const std::uint64_t generation = last_generation_ + 1;
  std::vector<UniqueFd> fds;
  std::string names;
  for (const Listener& listener : ground_.listeners) {
    fds.push_back(TRY(Duplicate(listener.fd.get())));
    names += listener.name + " ";
  }
  fds.push_back(TRY(Duplicate(adopt_.get())));
  fds.push_back(TRY(Duplicate(pass_on_.get())));
  names += "adopt pass_on ";
  const Settings& settings = ground_.settings;
  const std::pair<const char*, const std::string&> passwords[] = {
      {"cache_password", settings.cache.password_file},
      {"query_password", settings.query.password_file},
      {"objects_secret", settings.persistence.secret_key_file}};
  for (const auto& [name, path] : passwords)
    if (UniqueFd password = OpenPassword(name, path); password.valid()) {
      fds.push_back(std::move(password));
      names += std::string(name) + " ";
    }
  if (UniqueFd key = TRY(OpenKeyCredential()); key.valid()) {
    fds.push_back(std::move(key));
    names += "node_key ";
  }
  ChildPlan plan = PlanChild(ground_, "cloister-node", child_end.get());
  if (ground_.identities.separate)
    plan.uid = ground_.identities.node_uid;
  plan.time_slice = kNodeTimeSlice;
  const pid_t pid = TRY(SpawnChild(plan));
  ++last_generation_;
  PlaceNode(pid);
  if (UniqueFd zygote = zygotes_.Attach(generation); zygote.valid()) {
    fds.push_back(std::move(zygote));
    names += "zygote ";
  }
  names.pop_back();
  const bool writer = succession_.NextStart().kind == StepKind::kStartWriter;
  link.Send(NodeStart{.generation = generation,
                      .settings = settings_,
                      .state_dir = ground_.settings.node.state_dir,
                      .writer = writer ? 1U : 0U,
                      .per_worker_uids = ground_.identities.separate ? 1U : 0U,
                      .cgroups = ground_.cgroups->version(),
                      .fd_names = names},
            std::move(fds));
  succession_.OnStarted(generation);
  nodes_.push_back({.generation = generation,
                    .pid = pid,
                    .link = std::move(link),
                    .started = clock_.Now(),
                    .settings = settings_,
                    .deadline = clock_.Now() + (writer ? OpenTimeout() : kPrepareMax)});
  Log(LogLevel::kInfo, "node_started",
      {{"generation", generation}, {"pid", pid}, {"writer", writer}});
  return {};
}

void Nodes::PlaceNode(pid_t pid) {
  Result<void> placed = ground_.cgroups->SetWeight(kNodeGroup, kNodeCpuWeight);
  if (placed.ok())
    placed = ground_.cgroups->Move(kNodeGroup, pid);
  if (!placed.ok())
    Log(LogLevel::kWarning, "node_not_placed", {{"error", placed.error().message}});
}

UniqueFd Nodes::OpenPassword(const std::string& name, const std::string& path) {
  if (path.empty())
    return {};
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid())
    Log(LogLevel::kError, name + "_missing", {{"error", SystemError("opening " + path).message}});
  return file;
}

void Nodes::TryStart() {
  start_at_.reset();
  const Result<void> started = StartOne();
  if (started.ok())
    return;
  Log(LogLevel::kError, "node_start_failed", {{"error", started.error().message}});
  if (succession_.newest() == 0)
    start_at_ = clock_.Now() + RestartPolicy::kDelayMax;
}

void Nodes::Reload(std::string settings) {
  if (stopping_)
    return;
  settings_ = std::move(settings);
  switch (succession_.OnReload()) {
    case Succession::Reload::kStarted:
      return TryStart();
    case Succession::Reload::kLater:
      return Log(LogLevel::kInfo, "reload_postponed",
                 {{"reason", "the node is not ready yet; another one follows when it is"}});
    case Succession::Reload::kRefused:
      return RefuseReload();
  }
}

void Nodes::RefuseReload() {
  Log(LogLevel::kError, "reload_refused",
      {{"reason", "too many older nodes are still finishing requests"},
       {"nodes", succession_.size()}});
  settings_ = served_settings_;
}

void Nodes::Receive(const std::function<void()>& before_each) {
  for (Node& node : nodes_) {
    for (;;) {
      Received received = node.link.Receive();
      if (received.state != ReceiveState::kPacket)
        break;
      before_each();
      OnPacket(node, received.packet);
    }
    if (node.link.broken() && !node.lost) {
      node.lost = true;
      Log(LogLevel::kDebug, "node_lost",
          {{"generation", node.generation}, {"why", node.link.why_broken()}});
      if (node.drained)
        node.deadline = clock_.Now() + kEndMax;
      else
        (void)::kill(node.pid, SIGKILL);
    }
  }
}

void Nodes::OnPacket(Node& node, const Packet& packet) {
  switch (TypeOf(packet.bytes)) {
    case MessageType::kNodePrepared:
      node.deadline.reset();
      return Apply(succession_.OnPrepared(node.generation));
    case MessageType::kNodeReady:
      return OnReady(node);
    case MessageType::kWriterReleased:
      node.deadline.reset();
      return Apply(succession_.OnReleased(node.generation));
    case MessageType::kZygoteWanted:
      return Attach(node);
    case MessageType::kDrainDone:
      node.drained = true;
      return;
    default:
      if (!OnWorkerRequest(node, packet))
        node.link.Break(std::string("it sent ") + MessageName(TypeOf(packet.bytes)));
  }
}

bool Nodes::OnWorkerRequest(Node& node, const Packet& packet) {
  if (const auto place = DecodeMessage<PlaceWorker>(packet.bytes); place.ok()) {
    node.link.Send(workers_.Place(node.generation, place.value()));
    return true;
  }
  if (const auto kill = DecodeMessage<KillWorker>(packet.bytes); kill.ok()) {
    workers_.Signal(node.generation, kill.value().worker_id, SIGKILL);
    return true;
  }
  if (const auto interrupt = DecodeMessage<InterruptWorker>(packet.bytes); interrupt.ok()) {
    workers_.Signal(node.generation, interrupt.value().worker_id, SIGXCPU);
    return true;
  }
  return false;
}

void Nodes::OnReady(Node& node) {
  restarts_.OnReady();
  const std::vector<Step> steps = succession_.OnReady(node.generation);
  if (succession_.PhaseOf(node.generation) != NodePhase::kServing)
    return node.link.Break("it is ready without being the writer");
  node.deadline.reset();
  Log(LogLevel::kInfo, "node_ready",
      {{"generation", node.generation},
       {"after_ms", std::chrono::duration_cast<Millis>(clock_.Now() - node.started).count()}});
  served_settings_ = node.settings;
  Apply(steps);
  TellAlone();
}

void Nodes::TellAlone() {
  Node* const writer = succession_.WriterIsAlone() ? Find(succession_.writer()) : nullptr;
  if (writer != nullptr && !std::exchange(writer->alone, true))
    writer->link.Send(NodeAlone{});
}

void Nodes::Apply(const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    Node* node = Find(step.generation);
    switch (step.kind) {
      case StepKind::kStartWriter:
      case StepKind::kStartWithout:
        if (!stopping_ && !start_at_)
          start_at_ = clock_.Now();
        break;
      case StepKind::kDrain:
        Log(LogLevel::kInfo, "node_draining", {{"generation", step.generation}});
        node->deadline = clock_.Now() + kReleaseMax;
        node->link.Send(Drain{}, MakeLateSocket());
        break;
      case StepKind::kBecomeWriter:
        node->deadline = clock_.Now() + OpenTimeout();
        node->link.Send(BecomeWriter{}, TakeLateSocket());
        break;
      case StepKind::kStayed:
        Log(LogLevel::kError, "reload_failed",
            {{"reason", "the new node ended before it was prepared; the older one goes on"},
             {"generation", step.generation}});
        settings_ = served_settings_;
        break;
      case StepKind::kRefused:
        RefuseReload();
        break;
    }
  }
}

std::vector<UniqueFd> Nodes::MakeLateSocket() {
  auto pair = MakeControlPair();
  std::vector<UniqueFd> fds;
  if (!pair.ok()) {
    Log(LogLevel::kError, "late_socket_failed", {{"error", pair.error().message}});
    return fds;
  }
  fds.push_back(std::move(pair.value().first));
  late_socket_ = std::move(pair.value().second);
  return fds;
}

std::vector<UniqueFd> Nodes::TakeLateSocket() {
  std::vector<UniqueFd> fds;
  if (late_socket_.valid())
    fds.push_back(std::move(late_socket_));
  return fds;
}

void Nodes::ReportExit(std::uint64_t generation, const WorkerExited& report) {
  if (Node* node = Find(generation))
    node->link.Send(report);
}

void Nodes::Attach(Node& node) {
  UniqueFd zygote = zygotes_.Attach(node.generation);
  if (!zygote.valid())
    return;
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(zygote));
  node.link.Send(ZygoteSocket{}, std::move(fds));
}

void Nodes::AttachAll() {
  for (Node& node : nodes_)
    Attach(node);
}

void Nodes::Tick() {
  const MonotonicTime now = clock_.Now();
  for (Node& node : nodes_)
    if (node.deadline && *node.deadline <= now) {
      const std::optional<NodePhase> phase = succession_.PhaseOf(node.generation);
      Log(LogLevel::kError, "node_stuck",
          {{"generation", node.generation}, {"phase", phase ? NodePhaseName(*phase) : "stopping"}});
      (void)::kill(node.pid, SIGKILL);
      node.deadline.reset();
    }
  if (start_at_ && *start_at_ <= now)
    TryStart();
}

std::optional<MonotonicTime> Nodes::NextTick() const {
  std::optional<MonotonicTime> next = start_at_;
  for (const Node& node : nodes_)
    if (node.deadline && (!next || *node.deadline < *next))
      next = node.deadline;
  return next;
}

bool Nodes::OnExit(pid_t pid, int status) {
  const auto found = std::find_if(nodes_.begin(), nodes_.end(),
                                  [pid](const Node& node) { return node.pid == pid; });
  if (found == nodes_.end())
    return false;
  const std::uint64_t generation = found->generation;
  const Millis lived = std::chrono::duration_cast<Millis>(clock_.Now() - found->started);
  const NodePhase phase = succession_.PhaseOf(generation).value_or(NodePhase::kReleased);
  const bool planned = stopping_ || (phase == NodePhase::kReleased && status == 0);
  nodes_.erase(found);
  workers_.KillGeneration(generation);
  Log(planned ? LogLevel::kInfo : LogLevel::kWarning, "node_exited",
      {{"generation", generation},
       {"pid", pid},
       {"status", status},
       {"phase", NodePhaseName(phase)},
       {"lived_ms", lived.count()}});
  const bool was_newest = succession_.newest() == generation;
  const std::vector<Step> steps = succession_.OnGone(generation);
  if (stopping_)
    return true;
  TellAlone();
  if (was_newest && succession_.newest() == 0) {
    const bool by_itself = WIFEXITED(status) && WEXITSTATUS(status) != 0;
    const RestartPolicy::Verdict verdict = restarts_.OnEnd(
        lived, by_itself ? RestartPolicy::End::kByItself : RestartPolicy::End::kKilled);
    if (verdict.give_up)
      fatal_ = "the node ends as soon as it is started; its messages above say why";
    start_at_ = clock_.Now() + verdict.delay;
  }
  Apply(steps);
  return true;
}

bool Nodes::IsAlive(std::uint64_t generation) const {
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [generation](const Node& node) { return node.generation == generation; });
}

void Nodes::Stop(Millis grace) {
  stopping_ = true;
  start_at_.reset();
  for (Node& node : nodes_)
    node.link.Send(cloister::Stop{.grace_ms = static_cast<std::uint64_t>(grace.count())});
}

void Nodes::Kill() const {
  for (const Node& node : nodes_)
    (void)::kill(node.pid, SIGKILL);
}

Nodes::Node* Nodes::Find(std::uint64_t generation) {
  const auto found = std::find_if(nodes_.begin(), nodes_.end(), [generation](const Node& node) {
    return node.generation == generation;
  });
  return found == nodes_.end() ? nullptr : &*found;
}

}  // namespace cloister
