#pragma once

// The WorkerSupervisor of a node: a pool per release, the compiles, the spawner.
//
// Built by node.cc; runs on the loop thread. It listens to the WorkerControl (the keeper link),
// which must outlive it; requests of a retired release that no worker had begun go to the rerouter.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/calls/call_server.h"
#include "daemon/http/message.h"
#include "daemon/logs/log_event.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"
#include "daemon/workers/compile_job.h"
#include "daemon/workers/keeper_link.h"
#include "daemon/workers/loop_budget.h"
#include "daemon/workers/pool.h"
#include "daemon/workers/query_processes.h"
#include "daemon/workers/spawner.h"
#include "daemon/workers/supervisor.h"
#include "daemon/workers/worker_process.h"

namespace cloister {

struct SupervisorOptions {
  SpawnerOptions spawner;
  WorkerOptions worker;
  PoolOptions pool;
  Millis compile_timeout{120000};
  Millis memory_period{5000};  // between two looks at workers' memory
  Millis query_idle{30000};    // a query process ends after so long without a statement
  // Where apps' databases are; null: in files.
  std::shared_ptr<const QueryRoles> query_roles = {};
};

class Supervisor : public WorkerSupervisor,
                   private WorkerControl::Listener,
                   private Pool::Owner,
                   private CompileJob::Owner {
 public:
  // What it works with; all of it must outlive it.
  struct Parts {
    Loop& loop;
    const Clock& clock;
    WorkerControl& control;
    ImageSource& images;
    LogSink& logs;
    CallServer& calls;
    ConfigSource* configs = nullptr;     // null: no app has config
    std::string state_dir = {};          // of apps' databases; empty: no app has one
    ObjectResponses* objects = nullptr;  // null: no app has objects
  };

  Supervisor(const Parts& parts, const SupervisorOptions& options);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  // Kills all workers; what they had is answered 503.
  ~Supervisor() override;

  // Apps' databases; null: there are none.
  QueryProcesses* queries() const { return queries_.get(); }

  // Blanks come from here from now on.
  void SetZygote(UniqueFd socket) { spawner_.SetZygote(std::move(socket)); }
  // Where exchanges of retired releases go (the router). Null: they are answered 503.
  void SetRerouter(HttpHandler* rerouter) { rerouter_ = rerouter; }

  // Former versions of configs, and their secrets, may go from the state after `done`: pools keep
  // what they have from now on, and those with work that have nothing get it first.
  void KeepParts(std::function<void()> done);

  void Compile(const ReleaseSpec& spec, std::shared_ptr<const UniqueFd> source_image,
               std::function<void(CompileOutcome)> done) override;
  void Boot(const ReleaseSpec& spec, std::shared_ptr<const UniqueFd> image, std::uint32_t count,
            std::function<void(BootOutcome)> done) override;
  void Adopt(const ReleaseSpec& spec) override;
  void Update(const ReleaseSpec& spec) override;
  void Reconfigure(RunId former, std::shared_ptr<const RunConfig> config,
                   Delivery delivery) override;
  void Retire(RunId run, std::function<void()> drained) override;
  void WhenGone(AppId app, std::function<void()> gone) override;
  void Dispatch(RunId run, Exchange& exchange) override;
  std::vector<WorkerInfo> List() const override;
  ReleaseUse Use(RunId run) const override;
  std::uint32_t CountWorkers(RunId run) const override;

 private:
  struct Entry {
    // Of an adopted release that nobody has asked for yet: a node holds very many of them.
    std::unique_ptr<ReleaseSpec> asleep;
    std::unique_ptr<Pool> pool;
    bool served = false;  // adopted, or booted once
  };
  struct Draining {
    std::unique_ptr<Pool> pool;
    std::function<void()> drained;
  };

  struct Leaving {
    AppId app;
    std::function<void()> gone;
  };

  void OnWorkerPlaced(WorkerId worker, std::string_view error) override;
  void OnWorkerExited(WorkerId worker, std::uint32_t status, Micros cpu) override;
  void LoadImage(Pool& pool) override;
  void Reroute(Exchange& exchange) override;
  void OnPoolEmpty(Pool& pool) override;
  void OnCompileOver(CompileJob& job) override;

  // A compile's result lies in memory until it is stored: one at a time for each tenant, however
  // many apps it has.
  struct WaitingCompile {
    ReleaseSpec spec;
    std::shared_ptr<const UniqueFd> source_image;
    std::function<void(CompileOutcome)> done;
  };
  void StartCompiles();
  void NoteMemory();

  Pool& PoolOf(Entry& entry, const ReleaseSpec& spec);
  // To the pool of the run, if it is still there.
  void GiveParts(RunId run, Result<RunParts> parts);
  // Tells who waits for KeepParts when no pool waits for its parts any more.
  void NoteParts();
  void RemoveEmpty(const Pool* pool);
  bool Drains(AppId app) const;
  // Runs `task` at the end of this turn unless this is gone by then.
  void Later(std::function<void()> task);

  WorkerControl& control_;
  ImageSource& images_;
  ConfigSource* configs_;
  SupervisorOptions options_;
  Loop& loop_;
  Spawner spawner_;
  ProcessTable processes_;
  LoopBudget budget_;
  WorkerEnv env_;
  std::unique_ptr<QueryProcesses> queries_;
  HttpHandler* rerouter_ = nullptr;
  std::unordered_map<RunId, Entry> pools_;
  std::vector<Draining> draining_;
  std::vector<Leaving> leaving_;
  std::vector<std::unique_ptr<CompileJob>> compiles_;  // each of another tenant
  std::deque<WaitingCompile> waiting_compiles_;
  bool keep_parts_ = false;
  std::function<void()> on_parts_kept_;
  Timer memory_timer_;
  std::shared_ptr<Supervisor*> self_;  // null inside once this is gone
};

}  // namespace cloister
