#pragma once

// The node's own Redis server, where the settings name no other: started, watched and ended by the
// keeper, so that it outlives every node and every zygote.
//
// It has a uid of its own, a network without anything in it, no privilege, limits, and a cgroup.
// Its only way in is a socket in a directory that only it and the node's uid may enter. It keeps
// nothing: whatever ends it empties the cache. One that hangs is killed and started anew. A server
// that cannot be started is a warning and tried again; the node serves without a cache meanwhile.
// It is told its configuration on standard input, and what it says goes to our log.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/clock.h"
#include "apis/base/log.h"
#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/base/units.h"
#include "apis/quota/quota.h"
#include "daemon/keeper/cache_probe.h"
#include "daemon/keeper/cgroups.h"
#include "daemon/keeper/restart_policy.h"
#include "daemon/keeper/spawn.h"

namespace cloister {

// Makes the directory of the server's socket anew, inside of `state_dir`: it belongs to
// `server_uid`, and `node_uid` may go through it. A descriptor to run in.
Result<UniqueFd> MakeCacheDirectory(const std::string& state_dir, uid_t server_uid, uid_t node_uid);

// The configuration of a server that uses up to `memory`.
std::string CacheServerConfig(Bytes memory);

// A line of the server's log: how loud it is, and what it says.
struct CacheServerWord {
  LogLevel level = LogLevel::kDebug;
  std::string_view text;
};
CacheServerWord ParseCacheServerLine(std::string_view line);

struct CacheServerOptions {
  std::string program;
  Bytes memory;
  std::optional<uid_t> uid;  // none: ours, which others use too
  ChildNetwork network = ChildNetwork::kEmpty;
  int directory_fd = -1;
  int lock_fd = -1;  // the children's lock
};

class CacheServer {
 public:
  // The references must outlive the object.
  CacheServer(CacheServerOptions options, Cgroups& cgroups, const Clock& clock)
      : options_(std::move(options)), cgroups_(cgroups), clock_(clock) {}

  // Wanted from now on: starts it, unless it runs.
  void Start();
  void Tick();
  std::optional<MonotonicTime> NextTick() const;
  // Readable when it has said something; -1: nothing to wait for.
  int output_fd() const { return output_.get(); }
  void ReadOutput();
  // True when `pid` was the server.
  bool OnExit(pid_t pid, int status);
  // Ends it, for good. Nothing of it needs saving.
  void Kill();

  pid_t pid() const { return pid_; }
  bool ready() const { return ready_; }

 private:
  // When a start that failed is tried again: twice as long each time.
  static constexpr Millis kRetryFirst{1000};
  static constexpr Millis kRetryMax{30000};
  // One that does not accept connections by then hangs.
  static constexpr Millis kStartMax{30000};
  static constexpr int kReadsPerTurn = 16;
  // Lines a second, and at once, that go to our log.
  static constexpr double kLineRate = 10;
  static constexpr double kLineBurst = 100;

  Result<void> TryStart();
  Millis DelayAfterFailure();
  void LookAfter();
  void OnLine(std::string_view line);

  CacheServerOptions options_;
  Cgroups& cgroups_;
  const Clock& clock_;
  RestartPolicy restarts_;
  CacheProbe probe_;  // while it is ready
  int failed_starts_ = 0;
  pid_t pid_ = 0;
  bool ready_ = false;
  bool hung_ = false;  // was killed for it
  bool ended_ = false;
  MonotonicTime started_;
  UniqueFd output_;
  std::string line_;  // what it began to say
  TokenBucket words_{kLineRate, kLineBurst};
  std::uint64_t unsaid_ = 0;  // lines that were too many
  std::string last_words_;
  std::string trouble_;  // why it did not start the last time
  std::optional<MonotonicTime> start_at_;
};

}  // namespace cloister
