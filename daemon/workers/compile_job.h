#pragma once

// One compile: a confined worker that compiles every module of an image and imports none.
//
// Owned by the supervisor; runs on the loop thread. What comes is hostile and only kept, never
// unmarshalled (I1); it is capped per file and in all.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "apis/wire/frame.h"
#include "daemon/loop/timer.h"
#include "daemon/workers/supervisor.h"
#include "daemon/workers/worker_log.h"
#include "daemon/workers/worker_process.h"

namespace cloister {

inline constexpr std::size_t kCompiledFileMax = std::size_t{64} << 20;
inline constexpr std::size_t kCompiledTotalMax = std::size_t{512} << 20;
inline constexpr std::size_t kCompiledFilesMax = 20000;

class CompileJob : private WorkerProcess::Listener {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // All is said: the job may be destroyed (later, not within the call).
    virtual void OnCompileOver(CompileJob& job) = 0;
  };

  CompileJob(WorkerEnv& env, ReleaseSpec spec, Owner& owner,
             std::function<void(CompileOutcome)> done);

  void Start(std::shared_ptr<const UniqueFd> source_image, Millis timeout);
  WorkerInfo Info() const;
  const ReleaseSpec& spec() const { return spec_; }

 private:
  void OnProcessStarted() override { log_.SetWorker(process_.id()); }
  void OnProcessFrame(const Frame& frame) override;
  void OnProcessGarbage(const Error& error) override;
  void OnProcessClosed() override {}
  void OnProcessEnded(const ProcessEnd& end) override;

  Result<void> TakeFrame(const Frame& frame);
  Result<void> TakeCode(const Frame& frame);
  Result<void> TakeFailed(const Frame& frame);
  void Fail(std::string code, std::string message);

  WorkerEnv& env_;
  ReleaseSpec spec_;
  Owner& owner_;
  std::function<void(CompileOutcome)> done_;
  WorkerLog log_;
  WorkerProcess process_;
  CompileOutcome outcome_;
  bool complete_ = false;  // kReady came
  bool in_file_ = false;   // the last of outcome_.code goes on
  std::size_t total_ = 0;
  MonotonicTime started_at_;
  Timer timeout_;
};

}  // namespace cloister
