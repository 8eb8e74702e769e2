// The lanes of PersistenceService: stores are opened and closed, and work runs on them.

#include <algorithm>
#include <utility>

#include "apis/base/log.h"
#include "apis/persistence/service.h"
#include "apis/persistence/streams.h"

namespace cloister {
namespace {

// What one transaction, or one job that reads, takes of the calls that wait.
constexpr std::size_t kBatchMax = 128;
constexpr std::size_t kBatchBytesMax = std::size_t{8} << 20;

// Opens what an app has, for the job of each lane.
template <typename Stores>
Result<std::shared_ptr<Stores>> OpenStores(const std::string& directory,
                                           ObjectStore::Leftovers leftovers) {
  auto stores = std::make_shared<Stores>();
  stores->write = TRY(ObjectStore::Open(directory, ObjectStore::Use::kWrite, leftovers));
  stores->read = TRY(ObjectStore::Open(directory, ObjectStore::Use::kRead));
  return stores;
}

// A job that ends something, which may take a while.
template <typename Thing>
std::function<std::function<void()>()> Ending(std::shared_ptr<Thing> thing) {
  return [thing = std::move(thing)]() mutable -> std::function<void()> {
    thing.reset();
    return [] {};
  };
}

}  // namespace

void PersistenceService::Run(AppId id, std::function<std::function<void()>()> job) {
  ++jobs_[id];
  parts_.run(id, Counted(id, std::move(job)));
}

void PersistenceService::RunRemote(AppId id, std::function<std::function<void()>()> job) {
  if (!parts_.run_remote)
    return Run(id, std::move(job));
  ++jobs_[id];
  parts_.run_remote(id, Counted(id, std::move(job)));
}

std::function<std::function<void()>()> PersistenceService::Counted(
    AppId id, std::function<std::function<void()>()> job) {
  return [this, id, job = std::move(job)]() mutable -> std::function<void()> {
    std::function<void()> then = job();
    // What it holds ends here.
    job = nullptr;
    return [this, id, then = std::move(then)] {
      then();
      EndJob(id);
    };
  };
}

void PersistenceService::EndJob(AppId id) {
  const auto jobs = jobs_.find(id);
  if (--jobs->second > 0)
    return;
  jobs_.erase(jobs);
  if (Purge(id))
    return;
  const auto [begin, end] = closing_.equal_range(id);
  std::vector<std::function<void()>> closed;
  for (auto each = begin; each != end; ++each)
    closed.push_back(std::move(each->second));
  closing_.erase(begin, end);
  for (const auto& done : closed)
    done();
}

void PersistenceService::Queue(const CallOrigin& origin, CallId id, LaneKind lane, ObjectWork work,
                               std::size_t bytes) {
  std::shared_ptr<ObjectOverlay> overlay = FindOverlay(origin.overlay);
  // The check has ended while this was on its way.
  if (origin.overlay != 0 && overlay == nullptr)
    return Deliver(origin.app, id, FailedReply(Error{ErrorCode::kNotFound, "the check is over"}));
  // What the overlay changes is in no transaction.
  const LaneKind kind = overlay != nullptr ? LaneKind::kRead : lane;
  Add(origin.app, kind,
      {.work = std::move(work),
       .done = [this, app = origin.app,
                id](ObjectReply reply) { Deliver(app, id, std::move(reply)); },
       .overlay = std::move(overlay),
       .bytes = bytes,
       .quota = origin.quota.persistence});
}

void PersistenceService::Add(AppId id, LaneKind kind, Task task) {
  if (deleted_.contains(id))
    return task.done(FailedReply(Error{ErrorCode::kNotFound, "the app was deleted"}));
  App& app = apps_[id];
  Lane& lane = kind == LaneKind::kWrite ? app.write : app.read;
  lane.bytes += task.bytes;
  lane.waiting.push_back(std::move(task));
  Advance(id);
}

void PersistenceService::Advance(AppId id) {
  App& app = apps_[id];
  if (app.write.waiting.empty() && app.read.waiting.empty())
    return;
  if (app.stores == nullptr)
    return Open(id, app);
  open_.splice(open_.begin(), open_, app.place);
  RunLane(id, app, LaneKind::kWrite);
  RunLane(id, app, LaneKind::kRead);
}

void PersistenceService::Open(AppId id, App& app) {
  if (std::exchange(app.opening, true))
    return;
  const auto leftovers = app.swept ? ObjectStore::Leftovers::kKeep : ObjectStore::Leftovers::kSweep;
  Run(id, [this, id, leftovers, directory = DirectoryOf(id)]() -> std::function<void()> {
    const auto opened =
        std::make_shared<Result<std::shared_ptr<Stores>>>(OpenStores<Stores>(directory, leftovers));
    return [this, id, opened] { OnOpened(id, *opened); };
  });
}

void PersistenceService::FailAll(Lane& lane, const Error& error) {
  lane.bytes = 0;
  for (Task& task : std::exchange(lane.waiting, {}))
    task.done(FailedReply(error));
}

void PersistenceService::OnOpened(AppId id, const Result<std::shared_ptr<Stores>>& opened) {
  const auto found = apps_.find(id);
  if (found == apps_.end())
    return;
  App& app = found->second;
  app.opening = false;
  if (!opened.ok()) {
    if (app.trouble.Near(parts_.clock.Now()))
      Log(LogLevel::kError, "objects_not_opened",
          {{"app", id.number}, {"error", opened.error().message}});
    FailAll(app.write, opened.error());
    FailAll(app.read, opened.error());
    return;
  }
  app.stores = opened.value();
  app.swept = true;
  open_.push_front(id);
  app.place = open_.begin();
  // What comes first, and so what totals are known from.
  if (app.write.waiting.empty())
    Add(id, LaneKind::kRead,
        {.work = [](Objects&) -> Result<ObjectReply> { return ObjectReply{}; },
         .done = [](const ObjectReply&) {}});
  app.left = app.stores->write->TakeLeft() || app.left;
  CloseUnused();
  Advance(id);
  Sweep(id);
}

void PersistenceService::CloseUnused() {
  auto place = open_.end();
  std::size_t open = open_.size();
  while (open > kOpenMax && place != open_.begin()) {
    --place;
    App& app = apps_.at(*place);
    if (!app.idle())
      continue;
    Run(*place, Ending(std::exchange(app.stores, nullptr)));
    place = open_.erase(place);
    --open;
  }
}

PersistenceService::BatchResult PersistenceService::RunWrites(ObjectStore& store, Batch& batch) {
  BatchResult result;
  const auto run = [&]() -> Result<void> {
    TRY(store.Begin());
    for (Task& task : batch)
      result.replies.push_back(TRY(task.store_work ? task.store_work(store) : task.work(store)));
    result.totals = TRY(store.Totals());
    return store.Commit();
  };
  const Result<void> done = run();
  if (!done.ok()) {
    store.Rollback();
    result.totals.reset();
    result.replies.assign(batch.size(), FailedReply(done.error()));
    result.trouble = done.error().message;
  }
  // What was sent for a row that did not come.
  result.left = store.TakeLeft() || !done.ok();
  return result;
}

PersistenceService::BatchResult PersistenceService::RunReads(ObjectStore& store, Batch& batch) {
  BatchResult result;
  for (Task& task : batch) {
    if (task.overlay != nullptr)
      task.overlay->Lend(&store);
    Objects& objects = task.overlay != nullptr ? static_cast<Objects&>(*task.overlay)
                                               : static_cast<Objects&>(store);
    Result<ObjectReply> reply = task.work(objects);
    result.replies.push_back(reply.ok() ? std::move(reply).value() : FailedReply(reply.error()));
  }
  if (Result<ObjectTotals> totals = store.Totals(); totals.ok())
    result.totals = totals.value();
  return result;
}

void PersistenceService::RunLane(AppId id, App& app, LaneKind kind) {
  Lane& lane = kind == LaneKind::kWrite ? app.write : app.read;
  if (lane.running || lane.waiting.empty())
    return;
  lane.running = true;
  const auto batch = std::make_shared<Batch>();
  std::size_t bytes = 0;
  while (!lane.waiting.empty() && batch->size() < kBatchMax && bytes < kBatchBytesMax) {
    bytes += lane.waiting.front().bytes;
    batch->push_back(std::move(lane.waiting.front()));
    lane.waiting.pop_front();
  }
  lane.bytes -= bytes;
  Run(id, [this, id, kind, batch, stores = app.stores]() -> std::function<void()> {
    const auto result =
        std::make_shared<BatchResult>(kind == LaneKind::kWrite ? RunWrites(*stores->write, *batch)
                                                               : RunReads(*stores->read, *batch));
    // What it holds (files) ends here, not on the loop thread.
    for (Task& task : *batch) {
      task.work = nullptr;
      task.store_work = nullptr;
    }
    return [this, id, kind, batch, result] { OnBatch(id, kind, batch, std::move(*result)); };
  });
}

void PersistenceService::OnBatch(AppId id, LaneKind kind, const std::shared_ptr<Batch>& batch,
                                 BatchResult result) {
  if (const auto found = apps_.find(id); found != apps_.end()) {
    App& app = found->second;
    (kind == LaneKind::kWrite ? app.write : app.read).running = false;
    app.left = app.left || result.left;
    if (result.totals)
      app.totals = *result.totals;
    if (kind == LaneKind::kWrite && result.totals)
      NoteUse(id, app, *batch);
    if (!result.trouble.empty() && app.trouble.Near(parts_.clock.Now()))
      Log(LogLevel::kWarning, "objects_not_written",
          {{"app", id.number}, {"error", result.trouble}});
  }
  for (std::size_t i = 0; i < batch->size(); ++i)
    (*batch)[i].done(std::move(result.replies[i]));
  if (!apps_.contains(id))
    return;
  Advance(id);
  Sweep(id);
}

void PersistenceService::NoteUse(AppId id, const App& app, const Batch& batch) {
  const auto with_quota = std::find_if(batch.rbegin(), batch.rend(),
                                       [](const Task& task) { return task.quota.has_value(); });
  if (with_quota == batch.rend())
    return;
  const PersistenceQuota quota = with_quota->quota.value_or(PersistenceQuota());
  const auto note = [&](std::string_view name, std::uint64_t used, std::uint64_t limit,
                        const char* unit) {
    const double part =
        static_cast<double>(used) / static_cast<double>(std::max<std::uint64_t>(limit, 1));
    if (part >= kQuotaNear)
      parts_.answers.NoteQuotaNear(id, name, std::to_string(limit) + unit, std::min(part, 1.0));
  };
  note("persistence.bytes", app.totals.charged(), quota.bytes_max.count, " bytes");
  note("persistence.objects", std::max(app.totals.objects, app.totals.names), quota.objects_max,
       "");
}

void PersistenceService::OnAppDeleted(AppId id) {
  deleted_.insert(id);
  streams_->OnAppDeleted(id);
  const auto found = apps_.find(id);
  if (found == apps_.end())
    return;
  App& app = found->second;
  const Error gone{ErrorCode::kNotFound, "the app was deleted"};
  FailAll(app.write, gone);
  FailAll(app.read, gone);
  if (app.stores != nullptr) {
    open_.erase(app.place);
    Run(id, Ending(std::exchange(app.stores, nullptr)));
  }
  apps_.erase(found);
}

void PersistenceService::WhenClosed(AppId id, std::function<void()> done) {
  if (jobs_.contains(id) || Purge(id))
    closing_.emplace(id, std::move(done));
  else
    done();
}

}  // namespace cloister
