#include "daemon/keeper/ground.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "apis/base/log.h"
#include "apis/base/program.h"
#include "daemon/keeper/cache_server.h"
#include "sandbox/host_walls.h"

namespace cloister {
namespace {

// What the keeper and the node want: connections, channels, descriptors on their way.
constexpr rlim_t kDescriptorsWanted = 262144;

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool Requires(const Settings& settings, const std::string& what) {
  const std::vector<std::string>& require = settings.node.require;
  return std::find(require.begin(), require.end(), what) != require.end();
}

// Reports a missing wall, or refuses the start when the settings require it.
Result<void> Missing(const Settings& settings, const std::string& what, const std::string& reason) {
  if (Requires(settings, what))
    return Error{ErrorCode::kUnavailable,
                 "the settings require \"" + what + "\", but there are none: " + reason};
  Log(LogLevel::kWarning, what + "_missing", {{"reason", reason}});
  return {};
}

void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  rlimit raised = {.rlim_cur = kDescriptorsWanted,
                   .rlim_max = std::max(limit.rlim_max, kDescriptorsWanted)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0)
    return;
  raised = {.rlim_cur = std::min(limit.rlim_max, kDescriptorsWanted), .rlim_max = limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) != 0 || raised.rlim_cur < kDescriptorsWanted)
    Log(LogLevel::kWarning, "descriptors_limited",
        {{"limit", raised.rlim_cur}, {"wanted", kDescriptorsWanted}});
}

Result<UniqueFd> OwnPidfd() {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!pidfd.valid())
    return SystemError("pidfd_open");
  return pidfd;
}

Result<void> OpenListeners(Ground& ground) {
  const Settings& settings = ground.settings;
  for (const std::string& address : settings.http.listen)
    ground.listeners.push_back(TRY(OpenTcpListener("http", address)));
  if (!settings.admin.health_listen.empty())
    ground.listeners.push_back(TRY(OpenTcpListener("health", settings.admin.health_listen)));
  const std::string admin = AdminSocketPath(settings);
  if (admin == kDefaultAdminSocket && ::geteuid() == 0)
    TRY(PrepareSocketDirectory(std::string(kRuntimeDirectory), settings.admin.group));
  ground.listeners.push_back(TRY(OpenUnixListener("admin", admin)));
  for (const Listener& listener : ground.listeners)
    Log(LogLevel::kInfo, "listening", {{"as", listener.name}, {"address", listener.address}});
  return {};
}

Result<void> PrepareCgroups(Ground& ground) {
  const LockRecord& left = ground.lock.left_over();
  RemoveLeftOverCgroups(left.cgroups, left.keeper);
  ground.cgroups = OpenCgroups(
      FindCgroups(ReadAll("/proc/self/mountinfo"), ReadAll("/proc/self/cgroup")), ::getpid());
  if (!ground.cgroups->reason().empty())
    TRY(Missing(ground.settings, "cgroups", ground.cgroups->reason()));
  return ground.lock.Write({.keeper = ::getpid(), .cgroups = ground.cgroups->Directories()});
}

// Without it there is no cache, which the cache server says when it is started.
void PrepareCache(Ground& ground) {
  Result<UniqueFd> directory = MakeCacheDirectory(
      ground.settings.node.state_dir, ground.identities.cache_uid, ground.identities.node_uid);
  if (directory.ok())
    ground.cache_directory = std::move(directory).value();
  else
    Log(LogLevel::kWarning, "cache_directory_missing", {{"error", directory.error().message}});
}

}  // namespace

Result<Ground> PrepareGround(const Settings& settings) {
  const Identities identities = FindIdentities(settings.node.uid_base, settings.node.uid_count);
  const HostWalls walls = identities.separate
                              ? TRY(ProbeHost(WorkerIdentity::kOwnUid, identities.worker_uid_base))
                              : TRY(ProbeHost(WorkerIdentity::kSharedUid, ::geteuid()));
  if (!identities.separate)
    TRY(Missing(settings, "worker_uids", identities.reason));
  Ground ground{.settings = settings,
                .identities = identities,
                .lock = TRY(StateLock::Take(settings.node.state_dir, identities.node_uid)),
                .listeners = {},
                .cgroups = nullptr,
                .program_directory = TRY(ProgramDirectory()),
                .cache_directory = {},
                .keeper_pidfd = TRY(OwnPidfd()),
                .landlock_abi = walls.landlock_abi};
  PrepareCache(ground);
  TRY(OpenListeners(ground));
  TRY(PrepareCgroups(ground));
  RaiseDescriptorLimit();
  TRY(LimitCapabilities(KeeperCapabilities(identities)));
  return ground;
}

ChildPlan PlanChild(const Ground& ground, const std::string& program, int control_fd) {
  return {.program = ground.program_directory + "/" + program,
          .fds = {{.fd = control_fd, .number = 3, .name = "control"},
                  {.fd = ground.lock.children_fd(), .number = 4, .name = "children's lock"}},
          .uid = {},
          .capabilities = {},
          .network = ChildNetwork::kHost};
}

}  // namespace cloister
