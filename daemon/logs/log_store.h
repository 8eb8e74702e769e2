#pragma once

// Every app's log: takes events from the workers and the node, answers who reads and who follows.
//
// Append() never blocks: events are collected and written by one thread, in batches that grow with
// the load. An app over its rate loses events, and exactly how many stands in the log as an event
// of its own. Files are opened when they are needed, a bounded number at a time. Runs on the loop
// thread.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "apis/base/clock.h"
#include "apis/quota/quota.h"
#include "daemon/logs/app_log.h"
#include "daemon/logs/journal.h"
#include "daemon/logs/log_event.h"
#include "daemon/logs/log_files.h"
#include "daemon/loop/background.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"

namespace cloister {

// Whether events go to systemd's journal as well.
enum class ToJournal { kNo, kYes };

// What an app may log, and what the store may hold.
struct LogLimits {
  LogRetention retention;
  Bytes rate = KiB(64);  // a second
  Bytes burst = MiB(1);
  Bytes event_max{kLogEventMax};
  Bytes unwritten_max = MiB(64);  // of all apps, in memory
  std::size_t open_max = 128;     // logs with open files
  ToJournal journal = ToJournal::kNo;
};

struct LogQuery {
  AppId app;
  std::uint64_t after = 0;
  std::optional<std::uint64_t> tail;  // instead of `after`: the last so many
  std::size_t limit = 1000;
  Millis wait{0};  // for an event when there is none; at most kLogWaitMax
  LogFilter filter = {};
};

inline constexpr std::size_t kLogLimitMax = 10000;
inline constexpr Millis kLogWaitMax{60000};
// About the most bytes of events in one answer.
inline constexpr std::size_t kLogPageBytes = std::size_t{512} * 1024;

// A reading under way; for Cancel().
using LogReadId = std::uint64_t;

class LogStore : public LogSink {
 public:
  // Logs are in STATE/apps/<id>/log.
  LogStore(Loop& loop, const Clock& clock, std::string state_directory, LogLimits limits);
  LogStore(const LogStore&) = delete;
  LogStore& operator=(const LogStore&) = delete;
  ~LogStore() override;

  void Append(LogEvent event) override;
  bool Decline(const LogOutline& outline) override;

  // The app has limits of its own from now on: its rate, burst, event_max and retention.
  void SetLimits(AppId app, const LogLimits& limits);

  // `done` is called once, later, unless the reading is cancelled. The page has no events only when
  // there are none up to the log's end that match.
  LogReadId Read(const LogQuery& query, std::function<void(Result<LogPage>)> done);
  void Cancel(LogReadId id);
  // Nobody waits for an event any more: who does is answered with what there is.
  void EndWaits();

  // The app is deleted: its files are closed and removed; what is still appended is dropped.
  void Remove(AppId app, std::function<void()> done);
  // Everything appended so far is written (or counted as lost), then `done`. What is appended
  // meanwhile is not waited for.
  void Flush(std::function<void()> done);

  // Events that were dropped by any app, since the start.
  std::uint64_t lost_total() const { return lost_total_; }

 private:
  // An app that logs, or did lately.
  struct Source {
    TokenBucket own;
    TokenBucket runtime;  // the node's words about the app: a flood of the app must not hide them
    std::vector<LogEvent> pending;
    std::string app_name;     // of its last event
    std::uint64_t batch = 0;  // the number of what is pending
    std::uint64_t lost = 0;
    MonotonicTime loss_reported;  // in the node's own log
    bool writing = false;
    QuotaNotice notice = {};
  };
  struct Written {
    std::vector<LogEvent> unwritten;
    std::size_t bytes = 0;
    std::uint64_t batch = 0;
  };
  struct Flushing {
    std::uint64_t batch = 0;  // the last that it waits for
    std::function<void()> done;
  };
  // What one job of a reading gives: a page, or how far the search for the tail is.
  struct ReadStep {
    LogPage page;
    std::optional<LogTail> tail;
  };
  struct Reader {
    LogQuery query;
    std::optional<LogTail> tail;  // still to be found; then query.after is where it begins
    std::uint64_t lost = 0;       // of what was looked at so far
    MonotonicTime deadline;
    std::function<void(Result<LogPage>)> done;
    bool reading = false;
    bool again = false;  // something was written while it read
  };

  const LogLimits& LimitsOf(AppId app) const;
  Source& SourceOf(AppId app);
  // Redacts the event and takes what it costs then; false: it is more than the log takes.
  bool MakeRoom(LogEvent& event, const LogLimits& limits, TokenBucket& bucket) const;
  void Queue(AppId app, Source& source, LogEvent event);
  void AddLossMark(AppId app, Source& source);
  // The app comes near to what its log takes.
  void SayNear(AppId app, const Source& source, const LogLimits& limits);
  void Lose(AppId app, Source& source, std::uint64_t count);
  void MarkLosses();
  void MakeDue(AppId app);
  void WriteDue();
  void Write(AppId app, Source& source);
  void OnWritten(AppId app, const Written& written);
  void EndFlushes();
  void DropIdle();

  static Result<ReadStep> ReadEvents(LogFiles& files, const LogQuery& query,
                                     std::optional<LogTail> tail);
  void StartRead(LogReadId id);
  void OnRead(LogReadId id, Result<ReadStep> step);
  void Wake(AppId app);
  void CheckWaiting();
  void ExpireAll();
  void ExpireNext();

  Loop& loop_;
  const Clock& clock_;
  LogLimits limits_;
  std::unordered_map<AppId, LogLimits> own_limits_;  // of apps that have others
  std::unordered_map<AppId, Source> sources_;
  std::unordered_set<AppId> removed_;
  std::unordered_map<LogReadId, Reader> readers_;
  LogReadId last_read_ = 0;
  bool may_wait_ = true;
  std::size_t unwritten_ = 0;  // bytes
  std::uint64_t lost_total_ = 0;
  // So that what one turn, one loss or a flush costs follows from what is new, not from all apps.
  std::vector<AppId> due_;           // have something pending that no job writes
  std::vector<AppId> lossy_;         // have a loss that their log does not tell yet
  std::set<std::uint64_t> batches_;  // that are not written
  std::uint64_t last_batch_ = 0;
  std::deque<Flushing> flushes_;
  std::size_t sources_max_;      // beyond, the idle ones are dropped
  std::vector<AppId> expiring_;  // whose logs are still to be looked at
  Timer loss_timer_;
  Timer wait_timer_;
  Timer expire_timer_;
  std::shared_ptr<LogStore*> self_;  // null inside once this is gone
  // Touched by the pool's thread alone.
  std::unique_ptr<LogFiles> files_;
  std::unique_ptr<EventJournal> journal_;  // null: not wanted
  Background pool_;                        // one thread; destroyed first: its jobs use those
};

}  // namespace cloister
