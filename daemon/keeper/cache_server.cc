#include "daemon/keeper/cache_server.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

#include "config/cache_address.h"
#include "daemon/keeper/time_slice.h"

namespace cloister {
namespace {

// A longer line is cut: the rest of it is another one.
constexpr std::size_t kLineMax = 1024;
// Clients at one time: nodes that follow each other, and somebody who looks.
constexpr int kClientsMax = 32;
constexpr std::uint64_t kFilesMax = 128;
constexpr std::uint64_t kProcessesMax = 16;
// The kernel counts those of the uid, whichever node's they are: some nodes that share a range of
// uids may run beside each other.
constexpr std::uint64_t kProcessesOfUidMax = 16 * kProcessesMax;
// Of its cgroup: all the cores that there may be.
constexpr std::uint64_t kCpuMillis = 1024000;
// All apps wait for it: beside one app it has ten parts of eleven.
constexpr std::uint64_t kCpuWeight = 1000;

// What a node sends, and what its script calls (apis/cache/script.cc).
constexpr std::string_view kCommands =
    "+auth +ping +info +script|load +eval +evalsha +get +getrange +set +del +unlink +exists +touch "
    "+incrby +pexpire +persist +pttl +object|idletime +hget +hset +hmget +hdel +hlen +hexists "
    "+hincrby +hrandfield +sadd +srem +smembers";

// Beyond the values: buffers, tables that grow, what the allocator cannot use.
Bytes WithOverhead(Bytes memory) {
  return Bytes{memory.count + memory.count / 2 + MiB(128).count};
}

Result<UniqueFd> ConfigFile(Bytes memory) {
  UniqueFd file(::memfd_create("cache-server.conf", MFD_CLOEXEC));
  if (!file.valid())
    return SystemError("memfd_create");
  const std::string text = CacheServerConfig(memory);
  if (::pwrite(file.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return SystemError("writing the configuration of the cache server");
  return file;
}

}  // namespace

Result<UniqueFd> MakeCacheDirectory(const std::string& state_dir, uid_t server_uid,
                                    uid_t node_uid) {
  const std::string path = state_dir + "/" + std::string(kCacheDirectory);
  // Of an earlier start, perhaps with other uids. There is a socket in it at most.
  (void)::unlink((path + "/" + std::string(kCacheSocket)).c_str());
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT)
    return SystemError("removing " + path);
  if (::mkdir(path.c_str(), 0700) != 0)
    return SystemError("making " + path);
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!directory.valid())
    return SystemError("opening " + path);
  // Its owner before its mode: the node may never do more than go through.
  if (::fchown(directory.get(), server_uid, node_uid) != 0)
    return SystemError("chown of " + path);
  if (::fchmod(directory.get(), server_uid == node_uid ? 0700 : 0710) != 0)
    return SystemError("chmod of " + path);
  return directory;
}

std::string CacheServerConfig(Bytes memory) {
  const auto line = [](std::string_view key, std::string_view value) {
    return std::string(key) + " " + std::string(value) + "\n";
  };
  return line("port", "0") + line("unixsocket", kCacheSocket) +
         // Whoever is in the directory may connect; nobody else can come there.
         line("unixsocketperm", "777") + line("daemonize", "no") + line("logfile", "\"\"") +
         line("loglevel", "notice") + line("always-show-logo", "no") + line("databases", "1") +
         line("save", "\"\"") + line("appendonly", "no") +
         line("maxmemory", std::to_string(memory.count)) + line("maxmemory-policy", "noeviction") +
         line("maxclients", std::to_string(kClientsMax)) +
         line("client-query-buffer-limit", "64mb") + line("proto-max-bulk-len", "4mb") +
         line("client-output-buffer-limit", "normal 256mb 128mb 10") +
         line("lazyfree-lazy-expire", "yes") + line("user", "default off") +
         line("user", std::string(kCacheUser) + " on nopass ~c:* resetchannels -@all " +
                          std::string(kCommands));
}

CacheServerWord ParseCacheServerLine(std::string_view line) {
  // PID:ROLE DAY MONTH YEAR TIME MARK TEXT; anything else is said before there is a log.
  std::size_t at = 0;
  for (int word = 0; word < 5 && at != std::string_view::npos; ++word) {
    at = line.find(' ', at);
    at = at == std::string_view::npos ? at : at + 1;
  }
  const bool dated =
      !line.empty() && line[0] >= '0' && line[0] <= '9' && at != std::string_view::npos;
  if (!dated || line.size() < at + 2)
    return {.level = LogLevel::kWarning, .text = line};
  const char mark = line[at];
  const std::string_view text = line.substr(at + 2);
  // That a copy of the process for a save could fail: nothing is saved here.
  const bool idle = text.find("overcommit_memory") != std::string_view::npos;
  return {.level = mark == '#' && !idle ? LogLevel::kWarning : LogLevel::kDebug, .text = text};
}

void CacheServer::Start() {
  if (pid_ != 0 || ended_ || start_at_)
    return;
  const Result<void> started = TryStart();
  if (started.ok()) {
    trouble_.clear();
    return;
  }
  start_at_ = clock_.Now() + DelayAfterFailure();
  // Said once: it is tried again and again.
  if (std::exchange(trouble_, started.error().message) == trouble_)
    return;
  Log(LogLevel::kWarning, "cache_server_not_started",
      {{"error", trouble_},
       {"effect",
        "apps run without a cache; install redis-server, or name a server in [cache] url"}});
}

Millis CacheServer::DelayAfterFailure() {
  // 1 s shifted by 5 is beyond the most.
  return std::min(kRetryMax, kRetryFirst * (1 << std::min(failed_starts_++, 5)));
}

Result<void> CacheServer::TryStart() {
  if (options_.directory_fd < 0)
    return Error{ErrorCode::kUnavailable, "there is no directory for its socket"};
  const UniqueFd config = TRY(ConfigFile(options_.memory));
  std::array<int, 2> ends = {-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return SystemError("pipe2");
  UniqueFd output(ends[0]);
  const UniqueFd child_end(ends[1]);
  if (::fcntl(output.get(), F_SETFL, O_NONBLOCK) != 0)
    return SystemError("O_NONBLOCK");
  const Bytes memory = WithOverhead(options_.memory);
  ChildPlan plan{.program = options_.program,
                 .fds = {{.fd = config.get(), .number = 0, .name = "configuration"},
                         {.fd = child_end.get(), .number = 1, .name = "output"},
                         {.fd = child_end.get(), .number = 2, .name = "output"},
                         {.fd = options_.lock_fd, .number = 4, .name = "children's lock"}},
                 .uid = options_.uid,
                 .capabilities = {},
                 .network = options_.network,
                 .arguments = {"-"},
                 .limits = {{.resource = RLIMIT_NOFILE, .value = kFilesMax},
                            {.resource = RLIMIT_CORE, .value = 0},
                            {.resource = RLIMIT_FSIZE, .value = 0},
                            {.resource = RLIMIT_AS, .value = 2 * memory.count}},
                 .time_slice = kNodeTimeSlice,
                 .directory_fd = options_.directory_fd};
  if (options_.uid)
    plan.limits.push_back({.resource = RLIMIT_NPROC, .value = kProcessesOfUidMax});
  pid_ = TRY(SpawnChild(plan));
  ready_ = hung_ = false;
  started_ = clock_.Now();
  output_ = std::move(output);
  line_.clear();
  Log(LogLevel::kInfo, "cache_server_started", {{"pid", pid_}, {"memory", options_.memory.count}});
  Result<void> limited = cgroups_.Set("cache", {.memory_max = memory,
                                                .pids_max = kProcessesMax,
                                                .cpu_millis = kCpuMillis,
                                                .cpu_weight = kCpuWeight});
  if (limited.ok())
    limited = cgroups_.Move("cache", pid_);
  if (!limited.ok() && cgroups_.reason().empty())
    Log(LogLevel::kWarning, "cache_server_not_limited", {{"error", limited.error().message}});
  return {};
}

std::optional<MonotonicTime> CacheServer::NextTick() const {
  if (pid_ == 0 || ended_)
    return start_at_;
  if (hung_)
    return std::nullopt;
  return ready_ ? probe_.NextLook() : started_ + kStartMax;
}

void CacheServer::LookAfter() {
  const MonotonicTime now = clock_.Now();
  const bool hangs = ready_ ? probe_.Look(now) : now - started_ >= kStartMax;
  if (!hangs)
    return;
  Log(LogLevel::kWarning, "cache_server_hung",
      {{"pid", pid_},
       {"waited_ms", (ready_ ? CacheProbe::kHangsAfter : kStartMax).count()},
       {"effect", "it is killed and started anew"}});
  hung_ = true;
  (void)::kill(pid_, SIGKILL);
}

void CacheServer::Tick() {
  if (pid_ != 0 && !ended_ && !hung_)
    return LookAfter();
  if (!start_at_ || *start_at_ > clock_.Now())
    return;
  start_at_.reset();
  Start();
}

void CacheServer::ReadOutput() {
  std::array<char, 4096> part{};
  // The rest comes with the next turn: whoever writes without end holds up nothing else.
  for (int reads = 0; output_.valid() && reads < kReadsPerTurn; ++reads) {
    const ssize_t size = ::read(output_.get(), part.data(), part.size());
    if (size < 0 && errno == EINTR)
      continue;
    if (size < 0)
      return;
    if (size == 0)
      return output_.Reset();
    for (const char c : std::string_view(part.data(), static_cast<std::size_t>(size))) {
      if (c != '\n')
        line_ += c;
      if (c == '\n' || line_.size() >= kLineMax)
        OnLine(std::exchange(line_, {}));
    }
  }
}

void CacheServer::OnLine(std::string_view line) {
  if (line.empty())
    return;
  const CacheServerWord word = ParseCacheServerLine(line);
  if (ready_ && !words_.Take(1, clock_.Now())) {
    ++unsaid_;
    return;
  }
  if (unsaid_ > 0)
    Log(LogLevel::kWarning, "cache_server_said_more", {{"lines", std::exchange(unsaid_, 0)}});
  // Before it is ready it presents itself in warnings; the last one matters, should it end.
  Log(ready_ ? word.level : LogLevel::kDebug, "cache_server_said", {{"text", word.text}});
  if (word.level == LogLevel::kWarning)
    last_words_ = word.text;
  if (ready_ || word.text.find("ready to accept connections") == std::string_view::npos)
    return;
  ready_ = true;
  last_words_.clear();
  failed_starts_ = 0;
  restarts_.OnReady();
  probe_.Begin(options_.directory_fd, clock_.Now());
  Log(LogLevel::kInfo, "cache_server_ready",
      {{"pid", pid_},
       {"start_ms", std::chrono::duration_cast<Millis>(clock_.Now() - started_).count()}});
}

bool CacheServer::OnExit(pid_t pid, int status) {
  if (pid_ == 0 || pid != pid_)
    return false;
  ReadOutput();
  output_.Reset();
  probe_.End();
  pid_ = 0;
  if (ended_)
    return true;
  const Millis lived = std::chrono::duration_cast<Millis>(clock_.Now() - started_);
  Log(LogLevel::kWarning, "cache_server_exited",
      {{"pid", pid},
       {"status", status},
       {"lived_ms", lived.count()},
       {"said", std::exchange(last_words_, {})},
       {"effect", "the cache is empty, and down until the server is back"}});
  const bool by_itself = WIFEXITED(status) && WEXITSTATUS(status) != 0;
  const RestartPolicy::Verdict verdict = restarts_.OnEnd(
      lived, by_itself ? RestartPolicy::End::kByItself : RestartPolicy::End::kKilled);
  // A cache is no reason to give up.
  start_at_ = clock_.Now() + (verdict.give_up ? DelayAfterFailure() : verdict.delay);
  return true;
}

void CacheServer::Kill() {
  ended_ = true;
  start_at_.reset();
  if (pid_ != 0)
    (void)::kill(pid_, SIGKILL);
}

}  // namespace cloister
