#include "daemon/keeper/keeper.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <utility>
#include <vector>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "config/render.h"

namespace cloister {
namespace {

// What a node gets beyond its grace to end by itself.
constexpr Millis kStopMargin{2000};

Micros CpuTime(const rusage& usage) {
  const auto micros = [](const timeval& time) {
    return Seconds(time.tv_sec) + Micros(time.tv_usec);
  };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

// Kills every child that the kernel knows of, announced or not.
void KillChildren() {
  const std::string self = std::to_string(::getpid());
  std::ifstream children("/proc/self/task/" + self + "/children");
  for (pid_t pid = 0; children >> pid;)
    (void)::kill(pid, SIGKILL);
}

bool HasChildren() {
  siginfo_t child = {};
  return ::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0;
}

}  // namespace

CacheServerOptions Keeper::CacheOptions(const Ground& ground) {
  CacheServerOptions options{.program = ground.settings.cache.server,
                             .memory = ground.settings.cache.memory,
                             .uid = {},
                             .network = ChildNetwork::kEmptyOwnUser,
                             .directory_fd = ground.cache_directory.get(),
                             .lock_fd = ground.lock.children_fd()};
  if (ground.identities.separate) {
    options.uid = ground.identities.cache_uid;
    options.network = ChildNetwork::kEmpty;
  }
  return options;
}

Result<void> Keeper::Run() {
  TRY(OpenSignals());
  if (ground_.settings.cache.url.empty())
    cache_.Start();
  TRY(zygotes_.Start());
  TRY(nodes_.Start(RenderSettings(ground_.settings)));
  while (!Done()) {
    Wait();
    ReadSignals();
    ReceiveAll();
    Reap();
    zygotes_.Tick();
    if (zygotes_.TakeReattach())
      nodes_.AttachAll();
    nodes_.Tick();
    cache_.Tick();
    workers_.Tick();
    AdvanceStop();
  }
  ground_.cgroups->RemoveAll();
  TRY(ground_.lock.Write({.keeper = ::getpid(), .cgroups = {}}));
  if (!fatal_.empty())
    return Error{ErrorCode::kUnavailable, fatal_};
  Log(LogLevel::kInfo, "stopped");
  return {};
}

Result<void> Keeper::OpenSignals() {
  (void)::signal(SIGPIPE, SIG_IGN);
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD})
    sigaddset(&handled, number);
  if (::sigprocmask(SIG_BLOCK, &handled, nullptr) != 0)
    return SystemError("sigprocmask");
  signals_.Reset(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid())
    return SystemError("signalfd");
  return {};
}

void Keeper::Wait() {
  std::vector<pollfd> watched = {{.fd = signals_.get(), .events = POLLIN, .revents = 0}};
  const auto watch = [&watched](ControlLink& link) {
    if (link.broken())
      return;
    const int events = POLLIN | (link.wants_to_write() ? POLLOUT : 0);
    watched.push_back({.fd = link.fd(), .events = static_cast<short>(events), .revents = 0});
  };
  zygotes_.ForEachLink(watch);
  nodes_.ForEachLink(watch);
  if (cache_.output_fd() >= 0)
    watched.push_back({.fd = cache_.output_fd(), .events = POLLIN, .revents = 0});
  timespec wait = {};
  const std::optional<MonotonicTime> next = NextTick();
  if (next) {
    const Micros left = std::max(Micros{0}, *next - clock_.Now());
    wait.tv_sec = std::chrono::duration_cast<Seconds>(left).count();
    wait.tv_nsec = (left % Seconds(1)).count() * 1000;
  }
  (void)::ppoll(watched.data(), watched.size(), next ? &wait : nullptr, nullptr);
}

std::optional<MonotonicTime> Keeper::NextTick() const {
  std::optional<MonotonicTime> next;
  for (const std::optional<MonotonicTime> time :
       {kill_at_, zygotes_.NextTick(), nodes_.NextTick(), cache_.NextTick(), workers_.NextTick()})
    if (time && (!next || *time < *next))
      next = time;
  return next;
}

void Keeper::ReadSignals() {
  signalfd_siginfo info = {};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info)
    OnSignal(static_cast<int>(info.ssi_signo));
}

void Keeper::OnSignal(int signal_number) {
  switch (signal_number) {
    case SIGHUP:
      return Reload();
    case SIGTERM:
    case SIGINT:
      return stopping_ ? EndAll() : BeginStop();
    default:
      return;  // SIGCHLD: Reap() runs in every turn
  }
}

void Keeper::Reload() {
  if (stopping_)
    return;
  Result<Settings> settings = source_();
  if (!settings.ok())
    return Log(LogLevel::kError, "reload_failed", {{"error", settings.error().message}});
  // What only the keeper could change, it keeps: sockets, state directory, uids.
  Settings& fresh = settings.value();
  ground_.settings.workers = fresh.workers;
  ground_.settings.node.stop_grace = fresh.node.stop_grace;
  ground_.settings.node.open_timeout = fresh.node.open_timeout;
  if (fresh.http.listen != ground_.settings.http.listen ||
      fresh.admin.health_listen != ground_.settings.admin.health_listen ||
      AdminSocketPath(fresh) != AdminSocketPath(ground_.settings))
    Log(LogLevel::kWarning, "reload_partial",
        {{"reason", "addresses to listen on change with a restart only"}});
  ModuleSettings& modules = ground_.settings.modules;
  if (fresh.modules.deny != modules.deny || fresh.modules.allow != modules.allow)
    Log(LogLevel::kInfo, "modules_changed",
        {{"deny", fresh.modules.deny.size()},
         {"allow", fresh.modules.allow.size()},
         {"needs", "no restart: with this reload every worker starts anew, under the new lists"}});
  modules = fresh.modules;
  ReloadCache(fresh.cache);
  fresh.http.listen = ground_.settings.http.listen;
  fresh.admin = ground_.settings.admin;
  fresh.node.state_dir = ground_.settings.node.state_dir;
  Log(LogLevel::kInfo, "reloading");
  nodes_.Reload(RenderSettings(fresh));
}

void Keeper::ReloadCache(CacheSettings& fresh) {
  CacheSettings& cache = ground_.settings.cache;
  if (fresh.memory != cache.memory || fresh.server != cache.server)
    Log(LogLevel::kWarning, "reload_partial",
        {{"reason", "the cache server's program and memory change with a restart only"}});
  fresh.memory = cache.memory;
  fresh.server = cache.server;
  cache = fresh;
  if (cache.url.empty())
    cache_.Start();
}

void Keeper::BeginStop() {
  stopping_ = true;
  CloseListeners(ground_.listeners);
  const Millis grace = ground_.settings.node.stop_grace;
  Log(LogLevel::kInfo, "stopping", {{"grace_ms", grace.count()}});
  kill_at_ = clock_.Now() + grace + kStopMargin;
  nodes_.Stop(grace);
}

void Keeper::EndAll() {
  kill_at_.reset();
  if (!zygotes_.stopping())
    zygotes_.Stop();
  nodes_.Kill();
  zygotes_.Kill();
  cache_.Kill();
  workers_.KillAll();
  KillChildren();
}

void Keeper::ReceiveZygotes() {
  zygotes_.Receive([this](const Cloned& cloned) { Adopt(cloned); });
}

void Keeper::ReceiveAll() {
  const auto flush = [](ControlLink& link) { link.Flush(); };
  zygotes_.ForEachLink(flush);
  nodes_.ForEachLink(flush);
  cache_.ReadOutput();
  ReceiveZygotes();
  nodes_.Receive([this] { ReceiveZygotes(); });
}

void Keeper::Adopt(const Cloned& cloned) {
  Result<std::optional<WorkerExited>> adopted = workers_.Adopt(cloned);
  if (!adopted.ok())
    return Log(LogLevel::kError, "worker_not_ours",
               {{"worker", cloned.worker_id}, {"error", adopted.error().message}});
  if (const std::optional<WorkerExited>& ended = adopted.value()) {
    zygotes_.ReleaseUid(cloned.uid);
    return nodes_.ReportExit(cloned.generation, *ended);
  }
  // Made for a node that died meanwhile.
  if (!nodes_.IsAlive(cloned.generation))
    workers_.KillGeneration(cloned.generation);
}

void Keeper::Reap() {
  for (;;) {
    siginfo_t ended_child = {};
    if (::waitid(P_ALL, 0, &ended_child, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        ended_child.si_pid == 0)
      return;
    // The last words of whoever ended come before its end, and a worker is still a child of ours
    // when the zygote's word about it is read.
    ReceiveAll();
    int status = 0;
    rusage usage = {};
    const pid_t pid = ::wait4(ended_child.si_pid, &status, 0, &usage);
    CHECK(pid == ended_child.si_pid);
    if (zygotes_.OnExit(pid, status) || nodes_.OnExit(pid, status) || cache_.OnExit(pid, status))
      continue;
    if (const auto ended = workers_.OnExit(pid, {.status = status, .cpu = CpuTime(usage)})) {
      Log(LogLevel::kDebug, "worker_exited",
          {{"worker", ended->report.worker_id}, {"pid", pid}, {"status", status}});
      zygotes_.ReleaseUid(ended->uid);
      nodes_.ReportExit(ended->generation, ended->report);
    }
  }
}

void Keeper::AdvanceStop() {
  if (fatal_.empty() && (!zygotes_.fatal().empty() || !nodes_.fatal().empty())) {
    fatal_ = zygotes_.fatal() + nodes_.fatal();
    stopping_ = true;
    CloseListeners(ground_.listeners);
    nodes_.Stop(Millis{0});
    EndAll();
  }
  if (!stopping_)
    return;
  if (kill_at_ && *kill_at_ <= clock_.Now()) {
    Log(LogLevel::kWarning, "stop_forced", {{"workers", workers_.size()}});
    EndAll();
  }
  if (!nodes_.empty())
    return;
  cache_.Kill();
  workers_.KillAll();
  if (!zygotes_.stopping())
    zygotes_.Stop();
  if (zygotes_.empty())
    KillChildren();
}

bool Keeper::Done() const {
  return stopping_ && nodes_.empty() && zygotes_.empty() && !HasChildren();
}

}  // namespace cloister
