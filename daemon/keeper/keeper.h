#pragma once

// cloisterd's loop: the parent of all other processes, which keeps them there.
//
// Single-threaded, plain poll() and signalfd, a handful of descriptors. It never reads a tenant's
// byte: it holds listening sockets without accepting, and the socket pair through which nodes pass
// connections on without reading.
// SIGTERM and SIGINT: nobody listens any more, the node finishes what it accepted within the grace
// of the settings, then all ends; a second one ends all at once. SIGHUP: settings are read again
// and a new node follows (succession.h). When the keeper is killed, the kernel kills all the others
// (PDEATHSIG).

#include <functional>
#include <optional>
#include <string>

#include "apis/base/clock.h"
#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "daemon/keeper/cache_server.h"
#include "daemon/keeper/ground.h"
#include "daemon/keeper/kept_workers.h"
#include "daemon/keeper/nodes.h"
#include "daemon/keeper/zygotes.h"

namespace cloister {

// Reads the settings anew, as the command line has it.
using SettingsSource = std::function<Result<Settings>()>;

class Keeper {
 public:
  Keeper(Ground ground, SettingsSource source)
      : ground_(std::move(ground)),
        source_(std::move(source)),
        workers_(*ground_.cgroups, clock_),
        zygotes_(ground_, clock_),
        cache_(CacheOptions(ground_), *ground_.cgroups, clock_),
        nodes_(ground_, zygotes_, workers_, clock_) {}

  // Runs until all is ended. An Error: our programs cannot run on this host.
  Result<void> Run();

 private:
  static CacheServerOptions CacheOptions(const Ground& ground);
  Result<void> OpenSignals();
  void Wait();
  void ReadSignals();
  void OnSignal(int signal_number);
  void Reload();
  // What of the cache's settings a reload can change.
  void ReloadCache(CacheSettings& fresh);
  void BeginStop();
  void EndAll();
  void Reap();
  void ReceiveAll();
  void ReceiveZygotes();
  void Adopt(const Cloned& cloned);
  void AdvanceStop();
  bool Done() const;
  std::optional<MonotonicTime> NextTick() const;

  SystemClock clock_;
  Ground ground_;
  SettingsSource source_;
  KeptWorkers workers_;
  Zygotes zygotes_;
  CacheServer cache_;
  Nodes nodes_;
  UniqueFd signals_;
  bool stopping_ = false;
  std::optional<MonotonicTime> kill_at_;  // while stopping: then the rest is killed
  std::string fatal_;
};

}  // namespace cloister
