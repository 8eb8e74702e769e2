#pragma once

// Every worker on the node: blanks from the zygote, a pool per release, compiles.
//
// Runs on the loop thread. What the release pipeline and the router ask of the workers is here; how
// a worker is made and fed is in spawner, worker, pool.

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/names.h"
#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/service.h"
#include "daemon/workers/run_config.h"
#include "sandbox/limits.h"

namespace cloister {

class Exchange;

// Whether what the workers of a release write through the APIs is kept. On the overlay nothing is:
// so that booting and checking a release changes nothing.
enum class Writes { kKept, kOverlay };

// A release that runs with one version of its app's config: what a pool of workers is of.
struct RunId {
  ReleaseId release;
  std::uint64_t config = 0;  // 0: the app has none

  auto operator<=>(const RunId&) const = default;
};

// A release as its workers need it. Plain data; `limits` are the effective ones.
struct ReleaseSpec {
  AppId app_id;
  AppName app;
  ReleaseId release;
  std::string version;
  std::string entry;  // module:callable
  WorkerLimits limits;
  std::uint32_t workers_min = 0;
  std::uint32_t workers_max = 8;
  std::uint32_t queue_max = 256;
  std::uint32_t concurrent_max = 64;  // requests that its workers have at one time
  CallQuota call_quota = {};
  Writes writes = Writes::kKept;
  OverlayId overlay = 0;     // of kOverlay: one that this process has given to nobody else
  std::uint64_t config = 0;  // the version of its app's config; 0: none
  std::uint64_t data = 0;    // the generation of its app's database
  // Its values, for Boot; null where they are loaded when a worker is wanted.
  std::shared_ptr<const RunConfig> values = {};

  RunId run() const { return {.release = release, .config = config}; }
};

// Why a compile or a boot failed, for the deployer (an owned BootReport).
struct BootFailure {
  std::string
      code;  // syntax_error, import_error, module_denied, entry_missing, entry_not_callable,
             // app_raised, worker_died, boot_timeout, memory_exceeded, sandbox_failed
  std::string message;
  std::string file;
  std::uint32_t line = 0;
  std::string traceback;
};

// Gives the sealed image of a release. Implemented by the releases; asked when the first worker of
// a release is needed. The image may have to be built from the store: the answer comes later.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  using Done = std::function<void(Result<std::shared_ptr<const UniqueFd>>)>;
  virtual void LoadImage(ReleaseId release, Done done) = 0;
};

struct CompiledCode {
  std::string path;
  std::string code;  // marshalled, never unmarshalled in the node (I1)
};

struct CompileOutcome {
  std::vector<CompiledCode> code;
  std::unique_ptr<BootFailure> failure;  // null: all modules compiled
};

struct BootOutcome {
  Micros boot{0};                        // of the slowest
  std::unique_ptr<BootFailure> failure;  // null: all are up and wait in the release's pool
};

// What a release uses of its quotas.
struct ReleaseUse {
  std::uint64_t workers = 0;        // that serve or start
  std::uint64_t queued = 0;         // requests that wait for one
  std::uint64_t concurrent = 0;     // requests that workers have
  std::uint64_t queue_refused = 0;  // requests, since the node process began
};

// The state of a row of List() that is no worker: the release's next one waits for `age`.
inline constexpr std::string_view kBackingOff = "backing off";

// One worker as `cloister ps` shows it.
struct WorkerInfo {
  WorkerId id;
  std::uint32_t pid = 0;
  AppName app;
  ReleaseId release;
  std::string version;
  std::string state;
  std::uint64_t requests = 0;
  std::string request_id;  // of the request that it executes; empty: none
  Millis request_age{0};
  Millis age{0};
  // By MeasureMemory (daemon/workers/process_memory.h); 0 before, and when it is not known.
  std::uint64_t memory_bytes = 0;
  // Of its RunId.
  std::uint64_t config = 0;
};

class WorkerSupervisor {
 public:
  virtual ~WorkerSupervisor() = default;

  // Compiles every .py of `source_image` (an image without code) in a confined worker that imports
  // nothing of it.
  virtual void Compile(const ReleaseSpec& spec, std::shared_ptr<const UniqueFd> source_image,
                       std::function<void(CompileOutcome)> done) = 0;
  // Makes the release's pool if there is none and boots `count` (at least 1) more workers in it
  // from `image`. Answers when all are ready, or when the first has failed.
  virtual void Boot(const ReleaseSpec& spec, std::shared_ptr<const UniqueFd> image,
                    std::uint32_t count, std::function<void(BootOutcome)> done) = 0;
  // Makes a pool without a worker: what a restarted node does for each live release. Cheap.
  virtual void Adopt(const ReleaseSpec& spec) = 0;
  // The release, booted or adopted, runs within other limits from now on. Workers that have the
  // former ones are replaced, one after another; what they run they finish.
  virtual void Update(const ReleaseSpec& spec) = 0;
  // How the workers that run get another config.
  enum class Delivery {
    kReplace,  // others take their places, one after another; what they run they finish
    kLive,     // it is theirs from their next request on
  };
  // What ran as `former` runs with `config` from now on, and is called by its number.
  virtual void Reconfigure(RunId former, std::shared_ptr<const RunConfig> config,
                           Delivery delivery) = 0;
  // No new requests come for the run; what it has is finished, then its workers and image go.
  virtual void Retire(RunId run, std::function<void()> drained) = 0;
  // When the last worker of those runs of the app that were retired is gone.
  virtual void WhenGone(AppId app, std::function<void()> gone) = 0;
  // Queues the request in the run's pool; every exchange is answered in the end. It must be booted
  // or adopted.
  virtual void Dispatch(RunId run, Exchange& exchange) = 0;

  virtual std::vector<WorkerInfo> List() const = 0;
  // What the run uses now.
  virtual ReleaseUse Use(RunId run) const = 0;
  // How many workers of the run serve or start.
  virtual std::uint32_t CountWorkers(RunId run) const = 0;
};

}  // namespace cloister

template <>
struct std::hash<cloister::RunId> {
  std::size_t operator()(const cloister::RunId& run) const noexcept {
    return std::hash<std::uint64_t>{}(run.release.number * 0x9e3779b97f4a7c15 + run.config);
  }
};
