#include "daemon/workers/pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "daemon/workers/process_memory.h"

namespace cloister {
namespace {

constexpr std::uint32_t kDeathsMax = 3;
constexpr int kShrinkLooks = 4;  // an idle time-out
constexpr std::uint32_t kBackoffDoublings = 10;

}  // namespace

Pool::Pool(WorkerEnv& env, const PoolOptions& options, ReleaseSpec spec, Owner& owner)
    : env_(env),
      options_(options),
      spec_(std::move(spec)),
      app_name_(spec_.app.ToString()),
      owner_(owner),
      log_(env.logs, env.clock, spec_),
      starts_(options.starts_rate, StartsBurst()),
      grow_timer_(env.loop),
      shrink_timer_(env.loop),
      backoff_timer_(env.loop),
      self_(std::make_shared<Pool*>(this)) {
  // Only as long as there are workers.
  spec_.values.reset();
}

Pool::~Pool() {
  *self_ = nullptr;
  while (!queue_.empty())
    RespondProblem(TakeQueued(), 503, "node_stopping", "The node is stopping.");
  // Before the requests: workers answer what they still have.
  workers_.clear();
  graveyard_.clear();
}

// --- Requests

void Pool::Submit(Exchange& exchange) {
  ExchangeNotes& notes = exchange.notes();
  notes.app = app_name_;
  notes.release = spec_.version;
  if (retired_)
    return RespondProblem(exchange, 503, "no_release", "The release was retired.", Seconds(1));
  if (queue_.size() >= spec_.queue_max)
    return RefuseForQueue(exchange);
  if (IsDown())
    return RespondDown(exchange);
  WorkerRequest& request = TakeFree();
  request.exchange = &exchange;
  request.holder = this;
  request.queued_at = env_.loop.Now();
  request.deaths = 0;
  exchange.SetListener(&request);
  queue_.PushBack(request);
  Assign();
  const double used = static_cast<double>(queue_.size()) / spec_.queue_max;
  if (used >= kQuotaNear && queue_notice_.Near(env_.loop.Now()))
    log_.Say(kLogWarning,
             NearText("limits.queue", std::to_string(spec_.queue_max) + " requests", used));
}

void Pool::NoteMemory() {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    const double used = static_cast<double>(DataMemory(worker->pid()).count) /
                        static_cast<double>(spec_.limits.memory_max.count);
    if (used >= kQuotaNear && memory_notice_.Near(env_.loop.Now()))
      log_.Say(kLogWarning,
               NearText("limits.memory",
                        std::to_string(spec_.limits.memory_max.count) + " bytes of a worker",
                        std::min(used, 1.0)));
  }
}

void Pool::RefuseForQueue(Exchange& exchange) {
  RespondProblem(exchange, 503, "queue_full", "Too many requests wait for this app.", Seconds(1));
  if (const auto refused = queue_notice_.Refuse(env_.loop.Now()))
    log_.Say(
        kLogWarning,
        CountOfRequests(*refused) + " refused with a 503: " + std::to_string(spec_.queue_max) +
            " wait for a worker already, which is limits.queue: of the manifest, or of the quota "
            "(`cloister quota show APP` has both). Make requests faster, or have more workers "
            "(limits.workers).");
}

std::size_t Pool::CountInFlight() const {
  std::size_t count = 0;
  for (const std::unique_ptr<Worker>& worker : workers_)
    count += worker->in_flight();
  return count;
}

ReleaseUse Pool::Use() const {
  return {.workers = usable(),
          .queued = queue_.size(),
          .concurrent = CountInFlight(),
          .queue_refused = queue_notice_.refused()};
}

WorkerRequest& Pool::TakeFree() {
  if (free_.empty()) {
    requests_.push_back(std::make_unique<WorkerRequest>());
    return *requests_.back();
  }
  WorkerRequest& request = *free_.back();
  free_.pop_back();
  return request;
}

void Pool::Assign() {
  std::size_t in_flight = queue_.empty() ? 0 : CountInFlight();
  while (!queue_.empty() && in_flight++ < spec_.concurrent_max) {
    WorkerRequest& request = queue_.front();
    Worker* const worker = Pick(request);
    if (worker == nullptr)
      return Grow();
    queue_.Remove(request);
    worker->Send(request);
  }
}

Worker* Pool::Pick(const WorkerRequest& request) const {
  const bool alone = request.HasLargeBody();
  Worker* idle = nullptr;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (worker->room() == 0)
      continue;
    if (worker->in_flight() > 0 && !alone)
      return worker.get();
    if (worker->in_flight() == 0 && idle == nullptr)
      idle = worker.get();
  }
  return idle;
}

void Pool::Free(WorkerRequest& request) {
  request.exchange = nullptr;
  free_.push_back(&request);
}

void Pool::OnRequestReturned(WorkerRequest& request, bool died) {
  request.holder = this;
  request.deaths += died ? 1 : 0;
  queue_.PushFront(request);
  if (retired_)
    return LeaveRetired(TakeQueued());
  if (request.deaths >= kDeathsMax)
    RespondProblem(TakeQueued(), 502, "worker_died", "The app's workers end before they answer.");
}

void Pool::LeaveRetired(Exchange& exchange) {
  if (exchange.request().node_terms.has_value())
    return RespondProblem(exchange, 503, "no_release", "The release was retired.", Seconds(1));
  exchange.SetListener(nullptr);
  owner_.Reroute(exchange);
}

void Pool::OnRequestClientGone(WorkerRequest& request) {
  queue_.Remove(request);
  Free(request);
}

void Pool::OnRequestWritable(WorkerRequest& /*request*/) {}

Exchange& Pool::TakeQueued() {
  WorkerRequest& request = queue_.front();
  Exchange& exchange = *request.exchange;
  queue_.Remove(request);
  Free(request);
  return exchange;
}

void Pool::RespondDown(Exchange& exchange) const {
  if (host_at_fault_)
    return RespondProblem(exchange, 503, "workers_unavailable",
                          "The node cannot start workers for this app.", RetryAfter());
  RespondProblem(exchange, 503, "app_crashing", "The app's workers do not stay up.", RetryAfter());
}

bool Pool::IsDown() const {
  return backoff_until_ - env_.loop.Now() > options_.backoff_hold && usable() == 0;
}

Seconds Pool::RetryAfter() const {
  const auto wait = std::chrono::ceil<Seconds>(backoff_until_ - env_.loop.Now());
  return std::max(Seconds(1), wait);
}

// --- Size

std::size_t Pool::CountState(WorkerState state) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      workers_, [state](const auto& worker) { return worker->state() == state; }));
}

std::size_t Pool::usable() const {
  return CountState(WorkerState::kStarting) + CountState(WorkerState::kIdle) +
         CountState(WorkerState::kBusy);
}

bool Pool::MayStart() {
  return !retired_ && usable() < spec_.workers_max &&
         CountState(WorkerState::kStarting) < options_.starting_max && !HoldsStarts();
}

double Pool::StartsBurst() const {
  return std::max(options_.starts_burst, 2.0 * spec_.workers_max);
}

bool Pool::HoldsStarts() {
  const MonotonicTime now = env_.loop.Now();
  if (now < backoff_until_)
    return true;
  if (starts_.Has(1, now))
    return false;
  HoldStarts(now);
  return true;
}

void Pool::HoldStarts(MonotonicTime now) {
  BackOff(now, std::chrono::ceil<Millis>(std::chrono::duration<double>(1 / options_.starts_rate)));
  if (starts_notice_.Near(now))
    log_.Say(kLogWarning,
             "Workers of this release end so soon after they started that the next "
             "ones wait a moment each. What ended them is in this log.");
}

void Pool::BackOff(MonotonicTime now, Millis delay) {
  backoff_until_ = now + delay;
  backoff_timer_.Start(delay, [this] {
    if (keep_minimum_)
      KeepMinimum();
    Assign();
  });
}

void Pool::Grow() {
  if (usable() == 0 && MayStart())
    StartWorker();
  if (!grow_timer_.active())
    grow_timer_.Start(options_.grow_after, [this] { OnGrowTick(); });
}

void Pool::OnGrowTick() {
  const MonotonicTime now = env_.loop.Now();
  ExpireQueue(now);
  if (queue_.empty())
    return;
  if (now - queue_.front().queued_at >= options_.grow_after &&
      CountState(WorkerState::kStarting) < queue_.size() && MayStart())
    StartWorker();
  if (!queue_.empty())
    grow_timer_.Restart(options_.grow_after);
}

void Pool::ExpireQueue(MonotonicTime now) {
  while (!queue_.empty() && now - queue_.front().queued_at >= options_.queue_wait_max)
    RespondProblem(TakeQueued(), 503, "queue_timeout", "No worker of the app became free in time.",
                   RetryAfter());
}

void Pool::KeepMinimum() {
  keep_minimum_ = true;
  for (std::size_t have = usable(); have < spec_.workers_min && MayStart(); ++have)
    StartWorker();
}

void Pool::StartWorker() {
  if (HasParts()) {
    (void)starts_.Take(1, env_.loop.Now());
    AddWorker().Start(image_, config_);
    return;
  }
  if (std::exchange(image_wanted_, true))
    return;
  owner_.LoadImage(*this);
}

void Pool::OnImage(Result<RunParts> parts) {
  image_wanted_ = false;
  if (retired_)
    return;
  if (!parts.ok()) {
    Log(LogLevel::kError, "image_not_loaded",
        {{"app", app_name_}, {"release", spec_.version}, {"error", parts.error().message}});
    return NoteCrash(Fault::kOfNode);
  }
  image_ = std::move(parts.value().image);
  config_ = std::move(parts.value().config);
  if (MayStart() && (!queue_.empty() || (keep_minimum_ && usable() < spec_.workers_min)))
    StartWorker();
  if (keep_minimum_)
    KeepMinimum();
}

void Pool::KeepParts() {
  keep_parts_ = true;
  if (!HasParts() && !queue_.empty() && !std::exchange(image_wanted_, true))
    owner_.LoadImage(*this);
}

Worker& Pool::AddWorker() {
  workers_.push_back(std::make_unique<Worker>(env_, spec_, static_cast<Worker::Host&>(*this)));
  if (!shrink_timer_.active())
    shrink_timer_.Repeat(options_.idle_timeout / kShrinkLooks, [this] { Shrink(); });
  return *workers_.back();
}

void Pool::Shrink() {
  const MonotonicTime now = env_.loop.Now();
  std::size_t have = usable();
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (have <= spec_.workers_min)
      return;
    if (worker->state() != WorkerState::kIdle || now - worker->idle_since() < options_.idle_timeout)
      continue;
    worker->Retire();
    --have;
  }
}

bool Pool::IsSpent(const Worker& worker) const {
  return worker.outdated() ||
         (options_.requests_max > 0 && worker.requests() >= options_.requests_max);
}

// Workers that have answered their share, or have former limits, end as others take their places.
void Pool::Recycle() {
  const auto serves = [](const Worker& worker) {
    return worker.state() == WorkerState::kIdle || worker.state() == WorkerState::kBusy;
  };
  std::size_t fresh = 0;
  for (const std::unique_ptr<Worker>& worker : workers_)
    if (serves(*worker) && !IsSpent(*worker))
      ++fresh;
  bool replacement_wanted = false;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (!serves(*worker) || !IsSpent(*worker))
      continue;
    replacement_wanted = replacement_wanted || fresh == 0;
    if (fresh > 0) {
      --fresh;
      worker->Retire();
    }
  }
  if (replacement_wanted && CountState(WorkerState::kStarting) == 0 && !HoldsStarts())
    StartWorker();
}

void Pool::EndSurplus() {
  std::size_t have = usable();
  for (const WorkerState state : {WorkerState::kIdle, WorkerState::kBusy})
    for (const std::unique_ptr<Worker>& worker : workers_) {
      if (have <= spec_.workers_max)
        return;
      if (worker->state() != state)
        continue;
      worker->Retire();
      --have;
    }
}

void Pool::Update(const ReleaseSpec& spec) {
  if (retired_)
    return;
  spec_ = spec;
  spec_.values.reset();
  starts_.Set(options_.starts_rate, StartsBurst());
  // What did not start within the former limits may start within these.
  crashes_ = 0;
  backoff_until_ = env_.loop.Now();
  backoff_timer_.Stop();
  for (const std::unique_ptr<Worker>& worker : workers_)
    worker->NoteLimits();
  EndSurplus();
  Recycle();
  if (keep_minimum_)
    KeepMinimum();
  Assign();
}

void Pool::Reconfigure(const std::shared_ptr<const RunConfig>& config,
                       WorkerSupervisor::Delivery delivery) {
  if (retired_)
    return;
  ReleaseSpec spec = spec_;
  spec.config = config->number;
  // What is still loaded is of the former config.
  image_wanted_ = false;
  config_ = workers_.empty() ? nullptr : config;
  if (delivery == WorkerSupervisor::Delivery::kLive)
    for (const std::unique_ptr<Worker>& worker : workers_)
      worker->Deliver(config);
  Update(spec);
}

// --- Workers

void Pool::Boot(RunParts parts, std::uint32_t count, std::function<void(BootOutcome)> done) {
  CHECK(!retired_ && count > 0);
  image_ = std::move(parts.image);
  config_ = std::move(parts.config);
  Booting booting{.workers = {}, .done = std::move(done)};
  std::vector<Worker*> workers;
  for (std::uint32_t i = 0; i < count; ++i) {
    workers.push_back(&AddWorker());
    booting.workers.push_back(workers.back());
  }
  booting_.push_back(std::move(booting));
  for (Worker* const worker : workers)
    worker->Start(image_, config_);
}

std::vector<Pool::Booting>::iterator Pool::FindBooting(const Worker& worker) {
  return std::ranges::find_if(booting_, [&worker](const Booting& booting) {
    return std::ranges::find(booting.workers, &worker) != booting.workers.end();
  });
}

void Pool::OnBootedOne(std::vector<Booting>::iterator booting, const Worker& worker) {
  std::erase(booting->workers, &worker);
  booting->slowest = std::max(booting->slowest, worker.boot_time());
  if (!booting->workers.empty())
    return;
  const Booting over = std::move(*booting);
  booting_.erase(booting);
  over.done({.boot = over.slowest, .failure = nullptr});
  keep_minimum_ = true;
}

void Pool::OnWorkerReady(Worker& worker) {
  Log(LogLevel::kInfo, "worker_started",
      {{"app", app_name_},
       {"release", spec_.version},
       {"worker", worker.Info().id.number},
       {"boot_us", worker.boot_time().count()}});
  unproven_.push_back(&worker);
  if (const auto booting = FindBooting(worker); booting != booting_.end())
    OnBootedOne(booting, worker);
  // Only some start at a time: each that is ready makes room for the next.
  if (keep_minimum_ && !retired_)
    KeepMinimum();
  if (!retired_)
    Recycle();
  Assign();
}

void Pool::OnWorkerBootFailed(Worker& worker, BootFailure failure) {
  if (const auto booting = FindBooting(worker); booting != booting_.end()) {
    const Booting over = std::move(*booting);
    booting_.erase(booting);
    BootOutcome outcome;
    outcome.failure = std::make_unique<BootFailure>(std::move(failure));
    return over.done(std::move(outcome));
  }
  if (retired_)
    return;
  Log(LogLevel::kWarning, "worker_not_booted",
      {{"app", app_name_}, {"release", spec_.version}, {"code", failure.code}});
  log_.Say(kLogError, "A worker could not start: " + failure.message +
                          (failure.traceback.empty() ? "" : "\n" + failure.traceback));
  NoteCrash(failure.code == "sandbox_failed" ? Fault::kOfNode : Fault::kOfApp);
}

void Pool::OnWorkerRoom(Worker& worker) {
  if (IsSpent(worker) && !retired_)
    Recycle();
  Assign();
}

void Pool::OnWorkerDead(Worker& worker, bool crashed) {
  Log(LogLevel::kInfo, "worker_dead",
      {{"app", app_name_},
       {"worker", worker.Info().id.number},
       {"crashed", crashed ? 1 : 0},
       {"requests", worker.requests()}});
  NoteHealth();
  std::erase(unproven_, &worker);
  if (crashed) {
    if (IsHealthy(worker))
      crashes_ = 0;
    NoteCrash(Fault::kOfApp);
  }
  if (keep_minimum_)
    KeepMinimum();
  Assign();
}

bool Pool::IsHealthy(const Worker& worker) const {
  return env_.clock.Now() - worker.started_at() >= options_.healthy_after ||
         worker.requests() >= options_.healthy_requests;
}

// Once for each worker: one that has long been healthy says nothing about those that start now.
void Pool::NoteHealth() {
  const auto proven =
      std::erase_if(unproven_, [this](const Worker* worker) { return IsHealthy(*worker); });
  if (proven > 0)
    crashes_ = 0;
}

void Pool::NoteCrash(Fault fault) {
  if (retired_)
    return;
  NoteHealth();
  ++crashes_;
  host_at_fault_ = fault == Fault::kOfNode;
  Millis delay{0};
  if (crashes_ > options_.crashes_free) {
    const std::uint32_t doublings =
        std::min(crashes_ - options_.crashes_free - 1, kBackoffDoublings);
    delay = std::min(options_.backoff_max, options_.backoff_first * (1 << doublings));
  }
  BackOff(env_.loop.Now(), delay);
  if (delay > Millis(0)) {
    log_.Say(kLogError, DescribeCrashes({.app = app_name_,
                                         .times = crashes_,
                                         .next = delay,
                                         .of_node = host_at_fault_,
                                         .some_serve = usable() > 0}));
    while (IsDown() && !queue_.empty())
      RespondDown(TakeQueued());
  }
}

void Pool::OnWorkerGone(Worker& worker) {
  const auto found = std::ranges::find(workers_, &worker, &std::unique_ptr<Worker>::get);
  CHECK(found != workers_.end());
  // The worker is what calls us: it goes at the end of the turn.
  graveyard_.push_back(std::move(*found));
  workers_.erase(found);
  env_.loop.AtTurnEnd([self = self_] {
    if (*self != nullptr)
      (*self)->DropGraveyard();
  });
}

void Pool::DropGraveyard() {
  graveyard_.clear();
  if (!workers_.empty())
    return;
  shrink_timer_.Stop();
  if (!keep_parts_) {
    image_.reset();
    config_.reset();
  }
  owner_.OnPoolEmpty(*this);
}

void Pool::Retire() {
  if (std::exchange(retired_, true))
    return;
  keep_minimum_ = false;
  backoff_timer_.Stop();
  grow_timer_.Stop();
  for (const std::unique_ptr<Worker>& worker : workers_)
    worker->Retire();
  while (!queue_.empty()) {
    WorkerRequest& request = queue_.front();
    queue_.Remove(request);
    OnRequestReturned(request, false);
  }
  if (workers_.empty() && graveyard_.empty())
    DropGraveyard();
}

void Pool::AppendInfo(std::vector<WorkerInfo>& out) const {
  for (const std::unique_ptr<Worker>& worker : workers_)
    out.push_back(worker->Info());
  const auto wait = std::chrono::ceil<Millis>(backoff_until_ - env_.loop.Now());
  if (usable() > 0 || wait <= Millis(0))
    return;
  out.push_back({.id = {},
                 .pid = 0,
                 .app = spec_.app,
                 .release = spec_.release,
                 .version = spec_.version,
                 .state = std::string(kBackingOff),
                 .requests = 0,
                 .request_id = {},
                 .age = wait,
                 .memory_bytes = 0});
}

}  // namespace cloister
