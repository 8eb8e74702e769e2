#include "daemon/workers/database_copies.h"

#include <algorithm>

#include "daemon/workers/database_copy.h"

namespace cloister {
namespace {

constexpr std::size_t kThreads = 2;
// Between two looks whether a process serves.
constexpr Millis kLook{10};
// Times that a copy is begun again for a process that starts.
constexpr unsigned kStoppedMax = 100;

}  // namespace

DatabaseCopies::DatabaseCopies(Loop& loop, std::string state_dir, IsStarting is_starting)
    : loop_(loop),
      state_dir_(std::move(state_dir)),
      is_starting_(std::move(is_starting)),
      self_(std::make_shared<DatabaseCopies*>(this)),
      background_(loop, kThreads) {}

DatabaseCopies::~DatabaseCopies() {
  *self_ = nullptr;
  for (const Job& job : jobs_)
    *job.stop = true;
}

void DatabaseCopies::Add(DatabaseCopy copy, std::function<void(Result<Bytes>)> done) {
  const std::uint64_t id = ++last_;
  jobs_.push_back({.id = id,
                   .copy = std::move(copy),
                   .done = std::move(done),
                   .stop = std::make_shared<std::atomic<bool>>(false),
                   .locks = false,
                   .stopped = 0,
                   .retry = std::make_unique<Timer>(loop_)});
  Try(id);
}

std::list<DatabaseCopies::Job>::iterator DatabaseCopies::Find(std::uint64_t id) {
  return std::ranges::find(jobs_, id, &Job::id);
}

void DatabaseCopies::Try(std::uint64_t id) {
  Job& job = *Find(id);
  if (is_starting_(job.copy.app, job.copy.from))
    return job.retry->Start(kLook, [this, id] { Try(id); });
  job.locks = true;
  *job.stop = false;
  background_.Run(
      job.copy.app.number,
      [from = DataDirectory(state_dir_ + "/apps/" + std::to_string(job.copy.app.number),
                            job.copy.from),
       to = job.copy.to + ".new", stop = job.stop] { return CopyDatabaseFiles(from, to, *stop); },
      [self = self_, id](Result<Bytes> copied) {
        if (*self != nullptr)
          (*self)->OnCopied(id, std::move(copied));
      });
}

void DatabaseCopies::OnCopied(std::uint64_t id, Result<Bytes> copied) {
  Job& job = *Find(id);
  job.locks = false;
  const bool stopped = !copied.ok() && *job.stop &&
                       copied.error().code == ErrorCode::kDeadlineExceeded &&
                       ++job.stopped < kStoppedMax;
  if (stopped)
    // By then whoever waits has begun to start.
    job.retry->Start(kLook, [this, id] { Try(id); });
  else if (copied.ok())
    Finish(id, copied.value());
  else
    End(id, std::move(copied));
  Free();
}

void DatabaseCopies::Finish(std::uint64_t id, Bytes size) {
  const DatabaseCopy& copy = Find(id)->copy;
  background_.Run(
      copy.app.number, [to = copy.to] { return FinishDatabaseCopy(to + ".new", to); },
      [self = self_, id, size](Result<void> finished) {
        if (*self != nullptr)
          (*self)->End(id, finished.ok() ? Result<Bytes>(size) : std::move(finished).error());
      });
}

void DatabaseCopies::End(std::uint64_t id, Result<Bytes> result) {
  const auto job = Find(id);
  const auto done = std::move(job->done);
  jobs_.erase(job);
  done(std::move(result));
}

void DatabaseCopies::Hold(AppId app, std::uint64_t data, std::function<void()> free) {
  if (!IsLocked(app, data))
    return free();
  for (const Job& job : jobs_)
    if (job.locks && job.copy.app == app && job.copy.from == data)
      *job.stop = true;
  waiting_.push_back({.app = app, .data = data, .free = std::move(free)});
}

bool DatabaseCopies::IsLocked(AppId app, std::uint64_t data) const {
  return std::ranges::any_of(jobs_, [&](const Job& job) {
    return job.locks && job.copy.app == app && job.copy.from == data;
  });
}

void DatabaseCopies::Free() {
  std::vector<Waiting> ready;
  std::erase_if(waiting_, [this, &ready](Waiting& each) {
    if (IsLocked(each.app, each.data))
      return false;
    ready.push_back(std::move(each));
    return true;
  });
  for (const Waiting& each : ready)
    each.free();
}

}  // namespace cloister
