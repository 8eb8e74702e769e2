#include "daemon/workers/node_supervisor.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "apis/base/log.h"

namespace cloister {

Supervisor::Supervisor(const Parts& parts, const SupervisorOptions& options)
    : control_(parts.control),
      images_(parts.images),
      configs_(parts.configs),
      options_(options),
      loop_(parts.loop),
      spawner_(parts.loop, parts.control, options.spawner),
      budget_(parts.loop),
      env_{.loop = parts.loop,
           .clock = parts.clock,
           .control = parts.control,
           .spawner = spawner_,
           .logs = parts.logs,
           .calls = parts.calls,
           .processes = processes_,
           .options = options.worker,
           .queries = nullptr,
           .objects = parts.objects,
           .budget = &budget_},
      memory_timer_(parts.loop),
      self_(std::make_shared<Supervisor*>(this)) {
  if (!parts.state_dir.empty()) {
    queries_ = std::make_unique<QueryProcesses>(env_, QueryOptions{.state_dir = parts.state_dir,
                                                                   .roles = options.query_roles,
                                                                   .idle = options.query_idle});
    env_.queries = queries_.get();
  }
  control_.SetListener(this);
  NoteMemory();
}

Supervisor::~Supervisor() {
  *self_ = nullptr;
  control_.SetListener(nullptr);
}

void Supervisor::NoteMemory() {
  for (const auto& [release, entry] : pools_)
    if (entry.pool != nullptr)
      entry.pool->NoteMemory();
  memory_timer_.Start(options_.memory_period, [this] { NoteMemory(); });
}

void Supervisor::Later(std::function<void()> task) {
  loop_.AtTurnEnd([self = self_, task = std::move(task)] {
    if (*self != nullptr)
      task();
  });
}

// --- Releases

Pool& Supervisor::PoolOf(Entry& entry, const ReleaseSpec& spec) {
  if (entry.pool == nullptr) {
    entry.pool =
        std::make_unique<Pool>(env_, options_.pool, spec, static_cast<Pool::Owner&>(*this));
    if (keep_parts_)
      entry.pool->KeepParts();
  }
  return *entry.pool;
}

void Supervisor::KeepParts(std::function<void()> done) {
  keep_parts_ = true;
  on_parts_kept_ = std::move(done);
  for (const auto& [run, entry] : pools_)
    if (entry.pool != nullptr)
      entry.pool->KeepParts();
  NoteParts();
}

void Supervisor::NoteParts() {
  const bool waits = std::ranges::any_of(pools_, [](const auto& item) {
    return item.second.pool != nullptr && item.second.pool->waits_for_parts();
  });
  if (on_parts_kept_ && !waits)
    Later(std::exchange(on_parts_kept_, nullptr));
}

void Supervisor::Compile(const ReleaseSpec& spec, std::shared_ptr<const UniqueFd> source_image,
                         std::function<void(CompileOutcome)> done) {
  waiting_compiles_.push_back(
      {.spec = spec, .source_image = std::move(source_image), .done = std::move(done)});
  StartCompiles();
}

void Supervisor::StartCompiles() {
  const auto is_free = [this](const WaitingCompile& waiting) {
    return std::ranges::none_of(compiles_, [&waiting](const auto& running) {
      return running->spec().app.tenant() == waiting.spec.app.tenant();
    });
  };
  auto next = std::ranges::find_if(waiting_compiles_, is_free);
  while (next != waiting_compiles_.end()) {
    WaitingCompile compile = std::move(*next);
    waiting_compiles_.erase(next);
    compiles_.push_back(std::make_unique<CompileJob>(env_, std::move(compile.spec),
                                                     static_cast<CompileJob::Owner&>(*this),
                                                     std::move(compile.done)));
    compiles_.back()->Start(std::move(compile.source_image), options_.compile_timeout);
    next = std::ranges::find_if(waiting_compiles_, is_free);
  }
}

void Supervisor::OnCompileOver(CompileJob& job) {
  Later([this, over = &job] {
    std::erase_if(compiles_, [over](const auto& one) { return one.get() == over; });
    StartCompiles();
  });
}

void Supervisor::Boot(const ReleaseSpec& spec, std::shared_ptr<const UniqueFd> image,
                      std::uint32_t count, std::function<void(BootOutcome)> done) {
  const RunId run = spec.run();
  RunParts parts{std::move(image), spec.values};
  PoolOf(pools_[run], spec)
      .Boot(std::move(parts), count, [this, run, done = std::move(done)](BootOutcome outcome) {
        const auto found = pools_.find(run);
        if (found != pools_.end() && outcome.failure == nullptr)
          found->second.served = true;
        done(std::move(outcome));
      });
}

void Supervisor::Adopt(const ReleaseSpec& spec) {
  Entry& entry = pools_[spec.run()];
  entry.served = true;
  if (spec.workers_min > 0 || entry.pool != nullptr)
    PoolOf(entry, spec).KeepMinimum();
  else
    entry.asleep = std::make_unique<ReleaseSpec>(spec);
}

void Supervisor::Update(const ReleaseSpec& spec) {
  if (queries_ != nullptr)
    queries_->SetQuota(spec.app_id, spec.call_quota.query);
  const auto found = pools_.find(spec.run());
  if (found == pools_.end())
    return;
  Entry& entry = found->second;
  if (entry.pool != nullptr)
    entry.pool->Update(spec);
  else
    entry.asleep = std::make_unique<ReleaseSpec>(spec);
}

void Supervisor::Reconfigure(RunId former, std::shared_ptr<const RunConfig> config,
                             Delivery delivery) {
  auto moved = pools_.extract(former);
  if (moved.empty())
    return;
  const std::uint64_t number = config->number;
  moved.key() = RunId{.release = former.release, .config = number};
  Entry& entry = pools_.insert(std::move(moved)).position->second;
  if (entry.pool != nullptr)
    entry.pool->Reconfigure(config, delivery);
  else
    entry.asleep->config = number;
}

void Supervisor::Retire(RunId run, std::function<void()> drained) {
  const auto found = pools_.find(run);
  if (found == pools_.end() || found->second.pool == nullptr) {
    pools_.erase(run);
    return Later(std::move(drained));
  }
  // Out of the way first: the release may be booted again while this pool drains.
  draining_.push_back({.pool = std::move(found->second.pool), .drained = std::move(drained)});
  Pool& pool = *draining_.back().pool;
  pools_.erase(found);
  pool.Retire();
  NoteParts();
}

bool Supervisor::Drains(AppId app) const {
  return std::ranges::any_of(draining_,
                             [app](const Draining& one) { return one.pool->spec().app_id == app; });
}

void Supervisor::WhenGone(AppId app, std::function<void()> then) {
  std::function<void()> gone = [this, app, then = std::move(then)] {
    if (queries_ == nullptr)
      return then();
    queries_->Forget(app, then);
  };
  if (!Drains(app))
    return Later(std::move(gone));
  leaving_.push_back({.app = app, .gone = std::move(gone)});
}

void Supervisor::OnPoolEmpty(Pool& pool) {
  // Not within the pool's own call.
  Later([this, empty = &pool] { RemoveEmpty(empty); });
}

void Supervisor::RemoveEmpty(const Pool* pool) {
  const auto drained = std::ranges::find_if(
      draining_, [pool](const Draining& one) { return one.pool.get() == pool; });
  if (drained != draining_.end()) {
    const std::function<void()> tell = std::move(drained->drained);
    const AppId app = pool->spec().app_id;
    draining_.erase(drained);
    tell();
    if (Drains(app))
      return;
    const auto left = std::ranges::stable_partition(
        leaving_, [app](const Leaving& each) { return each.app != app; });
    const std::vector<Leaving> gone(std::make_move_iterator(left.begin()),
                                    std::make_move_iterator(left.end()));
    leaving_.erase(left.begin(), left.end());
    for (const Leaving& each : gone)
      each.gone();
    return;
  }
  // One that serves stays: the next request wakes it. One whose only boot failed was never wanted.
  std::erase_if(pools_, [pool](const auto& item) {
    const Entry& entry = item.second;
    return entry.pool.get() == pool && pool->empty() && !entry.served;
  });
}

void Supervisor::Dispatch(RunId run, Exchange& exchange) {
  const auto found = pools_.find(run);
  if (found == pools_.end())
    return RespondProblem(exchange, 503, "no_release", "The app has no release that runs.",
                          Seconds(1));
  Entry& entry = found->second;
  if (entry.pool == nullptr) {
    PoolOf(entry, *entry.asleep);
    entry.asleep.reset();
  }
  entry.pool->Submit(exchange);
}

void Supervisor::Reroute(Exchange& exchange) {
  if (rerouter_ != nullptr)
    return rerouter_->Handle(exchange);
  RespondProblem(exchange, 503, "no_release", "The release was retired.", Seconds(1));
}

void Supervisor::LoadImage(Pool& pool) {
  const RunId run = pool.spec().run();
  images_.LoadImage(run.release, [self = self_, run, app = pool.spec().app_id](
                                     Result<std::shared_ptr<const UniqueFd>> image) {
    if (*self == nullptr)
      return;
    if (!image.ok())
      return (*self)->GiveParts(run, std::move(image).error());
    if (run.config == 0 || (*self)->configs_ == nullptr)
      return (*self)->GiveParts(run, RunParts(std::move(image).value()));
    (*self)->configs_->LoadConfig(
        app, run.config,
        [self, run,
         fd = std::move(image).value()](Result<std::shared_ptr<const RunConfig>> config) {
          if (*self == nullptr)
            return;
          if (!config.ok())
            return (*self)->GiveParts(run, std::move(config).error());
          (*self)->GiveParts(run, RunParts(fd, std::move(config).value()));
        });
  });
}

void Supervisor::GiveParts(RunId run, Result<RunParts> parts) {
  const auto found = pools_.find(run);
  // An entry that sleeps has asked for nothing: its pool has gone to another run.
  if (found != pools_.end() && found->second.pool != nullptr)
    found->second.pool->OnImage(std::move(parts));
  NoteParts();
}

std::vector<WorkerInfo> Supervisor::List() const {
  std::vector<WorkerInfo> workers;
  for (const auto& [release, entry] : pools_)
    if (entry.pool != nullptr)
      entry.pool->AppendInfo(workers);
  for (const Draining& draining : draining_)
    draining.pool->AppendInfo(workers);
  for (const std::unique_ptr<CompileJob>& compile : compiles_)
    workers.push_back(compile->Info());
  std::ranges::sort(workers, {}, [](const WorkerInfo& worker) {
    return std::pair(worker.app.ToString(), worker.id);
  });
  return workers;
}

ReleaseUse Supervisor::Use(RunId run) const {
  const auto found = pools_.find(run);
  if (found == pools_.end() || found->second.pool == nullptr)
    return {};
  return found->second.pool->Use();
}

std::uint32_t Supervisor::CountWorkers(RunId run) const {
  const auto found = pools_.find(run);
  if (found == pools_.end() || found->second.pool == nullptr)
    return 0;
  return static_cast<std::uint32_t>(found->second.pool->usable());
}

// --- From the keeper

void Supervisor::OnWorkerPlaced(WorkerId worker, std::string_view error) {
  spawner_.OnWorkerPlaced(worker, error);
}

void Supervisor::OnWorkerExited(WorkerId worker, std::uint32_t status, Micros cpu) {
  const auto found = processes_.find(worker);
  if (found != processes_.end())
    found->second->OnExited(status);
  else if (!spawner_.OnWorkerExited(worker, status))
    return;
  Log(LogLevel::kDebug, "worker_exited",
      {{"worker", worker.number}, {"status", status}, {"cpu_us", cpu.count()}});
}

}  // namespace cloister
