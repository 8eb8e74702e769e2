#include "daemon/logs/log_store.h"

#include <algorithm>
#include <span>
#include <utility>

#include "apis/base/log.h"
#include "daemon/logs/redactor.h"

namespace cloister {
namespace {

// Of one event, beyond its bytes: its names and its record.
constexpr std::size_t kEventOverhead = 64;
// Bytes a second and at once.
constexpr double kRuntimeRate = 8 * 1024;
constexpr double kRuntimeBurst = 256 * 1024;
// A loss that no later event tells of is told after this long.
constexpr Millis kLossDelay{1000};
// How often a waiting reader looks for what another process wrote.
constexpr Millis kWaitStep{250};
constexpr Millis kExpirePeriod{6 * 3600 * 1000};
constexpr std::uint8_t kWarningLevel = 30;
constexpr std::size_t kIdleSourcesMax = 1024;
// An app that loses events again and again is told of in the node's own log this often.
constexpr Millis kLossReportPeriod{60000};
// The pool's key of what is done for no app in particular.
constexpr std::uint64_t kNoApp = 0;

bool IsLossMark(const LogEvent& event) {
  return event.source == LogSource::kRuntime && event.lost > 0;
}

std::size_t SizeOf(const LogEvent& event) {
  return event.bytes.size() + event.logger.size() + event.fields.size() + kEventOverhead;
}

TokenBucket BucketOf(const LogLimits& limits) {
  return {static_cast<double>(limits.rate.count), static_cast<double>(limits.burst.count)};
}

// Where the store's thread writes.
struct Places {
  LogFiles& files;
  EventJournal* journal = nullptr;
};

// On the store's thread. Gives back the events that could not be written.
std::vector<LogEvent> WriteEvents(const Places& places, AppId app, std::vector<LogEvent> events,
                                  WallTime now) {
  std::size_t written = 0;
  Result<AppLog*> log = places.files.Open(app);
  Result<void> appended =
      log.ok() ? log.value()->Append(events, now, written) : Result<void>(Error(log.error()));
  if (!appended.ok())
    Log(LogLevel::kError, "log_write_failed",
        {{"app", app.number},
         {"events", events.size() - written},
         {"why", appended.error().message}});
  if (places.journal != nullptr)
    places.journal->Send(std::span(events).first(written));
  events.erase(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(written));
  return events;
}

// As AppLog::SeekTail, which need not look at events that all match.
Result<std::optional<std::uint64_t>> SeekTail(AppLog& log, const LogFilter& filter, LogTail& tail) {
  if (!filter.open())
    return log.SeekTail(filter, tail);
  const std::uint64_t last = TRY(log.Last());
  return std::optional(last - std::min(last, tail.count));
}

}  // namespace

LogStore::LogStore(Loop& loop, const Clock& clock, std::string state_directory, LogLimits limits)
    : loop_(loop),
      clock_(clock),
      limits_(limits),
      sources_max_(kIdleSourcesMax),
      loss_timer_(loop),
      wait_timer_(loop),
      expire_timer_(loop),
      self_(std::make_shared<LogStore*>(this)),
      files_(std::make_unique<LogFiles>(std::move(state_directory), limits.retention,
                                        limits.open_max)),
      journal_(limits.journal == ToJournal::kYes ? std::make_unique<EventJournal>() : nullptr),
      pool_(loop, 1) {
  expire_timer_.Repeat(kExpirePeriod, [this] { ExpireAll(); });
}

LogStore::~LogStore() {
  *self_ = nullptr;
  MarkLosses();
  // What was appended and not yet given to the thread; the pool runs its jobs before it ends.
  for (auto& [app, source] : sources_)
    if (!source.pending.empty())
      Write(app, source);
}

const LogLimits& LogStore::LimitsOf(AppId app) const {
  const auto found = own_limits_.find(app);
  return found == own_limits_.end() ? limits_ : found->second;
}

void LogStore::SetLimits(AppId app, const LogLimits& limits) {
  own_limits_.insert_or_assign(app, limits);
  if (const auto found = sources_.find(app); found != sources_.end())
    found->second.own.Set(static_cast<double>(limits.rate.count),
                          static_cast<double>(limits.burst.count));
  pool_.Run(
      app.number,
      [files = files_.get(), app, retention = limits.retention] {
        files->SetRetention(app, retention);
        return Result<void>();
      },
      [](const Result<void>&) {});
}

LogStore::Source& LogStore::SourceOf(AppId app) {
  return sources_
      .try_emplace(app, BucketOf(LimitsOf(app)), TokenBucket(kRuntimeRate, kRuntimeBurst))
      .first->second;
}

void LogStore::Append(LogEvent event) {
  loop_.CheckThread();
  const AppId app = event.app;
  if (removed_.contains(app))
    return;
  const LogLimits& limits = LimitsOf(app);
  if (event.bytes.size() > limits.event_max.count) {
    event.bytes.resize(limits.event_max.count);
    event.cut = true;
  }
  Source& source = SourceOf(app);
  TokenBucket& bucket = event.by_node ? source.runtime : source.own;
  if (!MakeRoom(event, limits, bucket))
    return Lose(app, source, 1);
  if (source.lost > 0)
    AddLossMark(app, source);
  source.app_name = event.app_name;
  const bool near = !event.by_node && bucket.used() >= kQuotaNear;
  Queue(app, source, std::move(event));
  if (near && source.notice.Near(clock_.Now()))
    SayNear(app, source, limits);
}

bool LogStore::Decline(const LogOutline& outline) {
  loop_.CheckThread();
  if (removed_.contains(outline.app))
    return true;
  const std::size_t bytes =
      std::min<std::size_t>(outline.bytes, LimitsOf(outline.app).event_max.count);
  const std::size_t size = bytes + outline.names + kEventOverhead;
  Source& source = SourceOf(outline.app);
  const TokenBucket& bucket = outline.by_node ? source.runtime : source.own;
  if (unwritten_ + size <= limits_.unwritten_max.count &&
      bucket.Has(static_cast<double>(size), clock_.Now()))
    return false;
  Lose(outline.app, source, 1);
  return true;
}

bool LogStore::MakeRoom(LogEvent& event, const LogLimits& limits, TokenBucket& bucket) const {
  const MonotonicTime now = clock_.Now();
  const auto fits = [&](std::size_t size) {
    return unwritten_ + size <= limits_.unwritten_max.count;
  };
  const std::size_t size = SizeOf(event);
  // What is dropped is not looked at.
  if (!fits(size) || !bucket.Has(static_cast<double>(size), now))
    return false;
  RedactEvent(event);
  // Names may be longer than what they stand for.
  if (event.bytes.size() > limits.event_max.count) {
    event.bytes.resize(limits.event_max.count);
    event.cut = true;
  }
  const std::size_t clean = SizeOf(event);
  const bool taken = fits(clean) && bucket.Take(static_cast<double>(clean), now);
  // It has been looked at, which is not for nothing.
  if (!taken)
    (void)bucket.Take(static_cast<double>(size), now);
  return taken;
}

void LogStore::SayNear(AppId app, const Source& source, const LogLimits& limits) {
  LogEvent event;
  event.time = clock_.Wall();
  event.app = app;
  event.app_name = source.app_name;
  event.source = LogSource::kRuntime;
  event.by_node = true;
  event.level = kWarningLevel;
  event.bytes = NearText("log.burst",
                         std::to_string(limits.burst.count) + " bytes at once (log.rate gives " +
                             std::to_string(limits.rate.count) + " a second back)",
                         source.own.used());
  Append(std::move(event));
}

void LogStore::Lose(AppId app, Source& source, std::uint64_t count) {
  // Its loss would be an event of a log that is gone.
  if (removed_.contains(app))
    return;
  if (source.lost == 0)
    lossy_.push_back(app);
  const MonotonicTime now = clock_.Now();
  if (source.loss_reported == MonotonicTime() || now - source.loss_reported > kLossReportPeriod) {
    source.loss_reported = now;
    Log(LogLevel::kWarning, "log_events_lost", {{"app", app.number}});
  }
  source.lost += count;
  lost_total_ += count;
  if (!loss_timer_.active())
    loss_timer_.Start(kLossDelay, [this] { MarkLosses(); });
}

void LogStore::AddLossMark(AppId app, Source& source) {
  const std::uint64_t lost = std::exchange(source.lost, 0);
  LogEvent mark;
  mark.time = clock_.Wall();
  mark.app = app;
  mark.app_name = source.app_name;
  mark.source = LogSource::kRuntime;
  mark.level = kWarningLevel;
  mark.lost = lost;
  mark.bytes = std::to_string(lost) + (lost == 1 ? " event was" : " events were") +
               " lost here: more came than the quotas log.rate and log.burst allow";
  Queue(app, source, std::move(mark));
}

void LogStore::MarkLosses() {
  for (const AppId app : std::exchange(lossy_, {}))
    if (Source& source = SourceOf(app); source.lost > 0)
      AddLossMark(app, source);
}

void LogStore::Queue(AppId app, Source& source, LogEvent event) {
  event.app = app;
  unwritten_ += SizeOf(event);
  if (source.pending.empty()) {
    source.batch = ++last_batch_;
    batches_.insert(source.batch);
    // Else the end of the write under way begins the next one.
    if (!source.writing)
      MakeDue(app);
  }
  source.pending.push_back(std::move(event));
}

void LogStore::MakeDue(AppId app) {
  if (due_.empty())
    loop_.AtTurnEnd([self = self_] {
      if (*self != nullptr)
        (*self)->WriteDue();
    });
  due_.push_back(app);
}

void LogStore::WriteDue() {
  for (const AppId app : std::exchange(due_, {}))
    if (Source& source = SourceOf(app); !source.pending.empty())
      Write(app, source);
  if (sources_.size() > sources_max_)
    DropIdle();
}

void LogStore::Write(AppId app, Source& source) {
  source.writing = true;
  std::size_t bytes = 0;
  for (const LogEvent& event : source.pending)
    bytes += SizeOf(event);
  pool_.Run(
      app.number,
      [places = Places{.files = *files_, .journal = journal_.get()}, app, now = clock_.Wall(),
       bytes, batch = source.batch, events = std::exchange(source.pending, {})]() mutable {
        return Written{.unwritten = WriteEvents(places, app, std::move(events), now),
                       .bytes = bytes,
                       .batch = batch};
      },
      [self = self_, app](const Written& written) {
        if (*self != nullptr)
          (*self)->OnWritten(app, written);
      });
}

void LogStore::OnWritten(AppId app, const Written& written) {
  unwritten_ -= written.bytes;
  batches_.erase(written.batch);
  Source& source = SourceOf(app);
  source.writing = false;
  std::uint64_t lost = 0;
  for (const LogEvent& event : written.unwritten)
    lost += event.lost + (IsLossMark(event) ? 0 : 1);
  if (lost > 0)
    Lose(app, source, lost);
  if (!source.pending.empty())
    Write(app, source);
  Wake(app);
  EndFlushes();
}

void LogStore::EndFlushes() {
  while (!flushes_.empty() && (batches_.empty() || *batches_.begin() > flushes_.front().batch)) {
    const std::function<void()> done = std::move(flushes_.front().done);
    flushes_.pop_front();
    done();
  }
}

void LogStore::DropIdle() {
  const MonotonicTime now = clock_.Now();
  // A source whose buckets are full comes back with full ones: the same.
  std::erase_if(sources_, [&](const auto& entry) {
    const Source& source = entry.second;
    return source.pending.empty() && !source.writing && source.lost == 0 &&
           source.own.IsFull(now) && source.runtime.IsFull(now);
  });
  // Looked at again when there are twice as many: each new source pays for a few.
  sources_max_ = std::max(kIdleSourcesMax, 2 * sources_.size());
}

void LogStore::Flush(std::function<void()> done) {
  MarkLosses();
  if (batches_.empty())
    return loop_.Post(std::move(done));
  flushes_.push_back({.batch = last_batch_, .done = std::move(done)});
}

void LogStore::Remove(AppId app, std::function<void()> done) {
  removed_.insert(app);
  for (auto& [id, reader] : readers_)
    if (reader.query.app == app)
      reader.deadline = clock_.Now();
  if (const auto found = sources_.find(app); found != sources_.end()) {
    for (const LogEvent& event : found->second.pending)
      unwritten_ -= SizeOf(event);
    if (!found->second.pending.empty())
      batches_.erase(found->second.batch);
    found->second.pending.clear();
    found->second.lost = 0;
  }
  pool_.Run(
      app.number, [files = files_.get(), app] { return files->Remove(app); },
      [self = self_, app, done = std::move(done)](const Result<void>& removed) {
        if (!removed.ok())
          Log(LogLevel::kWarning, "log_not_removed",
              {{"app", app.number}, {"why", removed.error().message}});
        if (*self != nullptr)
          (*self)->EndFlushes();
        done();
      });
}

// On the store's thread.
Result<LogStore::ReadStep> LogStore::ReadEvents(LogFiles& files, const LogQuery& query,
                                                std::optional<LogTail> tail) {
  ReadStep step;
  AppLog* log = TRY(files.Find(query.app));
  step.page.next = tail ? 0 : query.after;
  if (log == nullptr)
    return step;
  LogRange range{.after = query.after,
                 .limit = query.limit,
                 .bytes_max = kLogPageBytes,
                 .filter = query.filter,
                 .resumes = query.after > 0 && !tail};
  if (tail) {
    const std::optional<std::uint64_t> found = TRY(SeekTail(*log, query.filter, *tail));
    if (!found) {
      step.tail = tail;
      return step;
    }
    range.after = *found;
  }
  step.page = TRY(log->Read(range));
  return step;
}

LogReadId LogStore::Read(const LogQuery& query, std::function<void(Result<LogPage>)> done) {
  const LogReadId id = ++last_read_;
  Reader& reader = readers_[id];
  reader.query = query;
  reader.query.limit = std::clamp<std::size_t>(query.limit, 1, kLogLimitMax);
  if (query.tail)
    reader.tail = LogTail{.count = *query.tail};
  reader.deadline = clock_.Now() + (may_wait_ ? std::min(query.wait, kLogWaitMax) : Millis(0));
  reader.done = std::move(done);
  StartRead(id);
  return id;
}

void LogStore::Cancel(LogReadId id) {
  readers_.erase(id);
}

void LogStore::EndWaits() {
  may_wait_ = false;
  for (auto& [id, reader] : readers_) {
    reader.deadline = clock_.Now();
    if (!reader.reading)
      StartRead(id);
  }
}

void LogStore::StartRead(LogReadId id) {
  Reader& reader = readers_[id];
  reader.reading = true;
  reader.again = false;
  pool_.Run(
      reader.query.app.number,
      [files = files_.get(), query = reader.query, tail = reader.tail] {
        return ReadEvents(*files, query, tail);
      },
      [self = self_, id](Result<ReadStep> step) {
        if (*self != nullptr)
          (*self)->OnRead(id, std::move(step));
      });
}

void LogStore::OnRead(LogReadId id, Result<ReadStep> step) {
  const auto found = readers_.find(id);
  if (found == readers_.end())
    return;
  Reader& reader = found->second;
  reader.reading = false;
  if (step.ok() && step.value().tail) {
    reader.tail = step.value().tail;
    return StartRead(id);
  }
  if (step.ok()) {
    LogPage& page = step.value().page;
    reader.lost += std::exchange(page.lost, 0);
    // From here on only what is new counts, however many the reader wanted of the past.
    reader.tail.reset();
    reader.query.after = page.next;
    if (page.events.empty() && page.more)
      return StartRead(id);
    page.lost = reader.lost;
  }
  const bool empty = step.ok() && step.value().page.events.empty();
  if (!empty || clock_.Now() >= reader.deadline) {
    const auto done = std::move(reader.done);
    readers_.erase(found);
    return step.ok() ? done(std::move(step.value().page)) : done(Error(step.error()));
  }
  if (reader.again)
    StartRead(id);
  else if (!wait_timer_.active())
    wait_timer_.Start(kWaitStep, [this] { CheckWaiting(); });
}

void LogStore::Wake(AppId app) {
  for (auto& [id, reader] : readers_) {
    if (reader.query.app != app)
      continue;
    if (reader.reading)
      reader.again = true;
    else
      StartRead(id);
  }
}

void LogStore::CheckWaiting() {
  for (auto& [id, reader] : readers_)
    if (!reader.reading)
      StartRead(id);
}

void LogStore::ExpireAll() {
  pool_.Run(
      kNoApp, [files = files_.get()] { return files->Apps(); },
      [self = self_](std::vector<AppId> apps) {
        if (*self == nullptr)
          return;
        (*self)->expiring_ = std::move(apps);
        (*self)->ExpireNext();
      });
}

// One app a job, so that no app's events wait for the looking at all others.
void LogStore::ExpireNext() {
  if (expiring_.empty())
    return;
  const AppId app = expiring_.back();
  expiring_.pop_back();
  pool_.Run(
      kNoApp, [files = files_.get(), app, now = clock_.Wall()] { return files->Expire(app, now); },
      [self = self_, app](const Result<void>& expired) {
        if (!expired.ok())
          Log(LogLevel::kWarning, "log_not_expired",
              {{"app", app.number}, {"why", expired.error().message}});
        if (*self != nullptr)
          (*self)->ExpireNext();
      });
}

}  // namespace cloister
