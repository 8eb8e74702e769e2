#pragma once

// One app's log on disk: append-only segments in a directory, the oldest dropped first.
//
// A segment is a file named by the sequence number of its first record, 20 digits and ".log", of up
// to 4 MiB or one day. What a crash left half-written at its end is cut off when it is opened. Two
// processes may append to one log (while a node hands over to the next): each batch is written
// under a lock and continues where the other stopped. Opening a log reads none of it when its file
// "position" tells where it ends; that is so unless a process died while it wrote, or the machine
// did. Blocking; used by one thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/clock.h"
#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/base/units.h"
#include "daemon/logs/log_event.h"
#include "daemon/logs/log_filter.h"

namespace cloister {

// How much of an app's log is kept.
struct LogRetention {
  Bytes kept_bytes = MiB(64);
  Millis kept_age{std::chrono::hours(7 * 24)};
  Bytes segment_bytes = MiB(4);
  Millis segment_age{std::chrono::hours(24)};
};

// What one reading wants.
struct LogRange {
  std::uint64_t after = 0;  // events with sequence numbers above it
  std::size_t limit = 1000;
  std::size_t bytes_max = kLogEventMax;  // about; one event at least
  LogFilter filter = {};
  // Whether the reader has had `after`: then what is missing right behind it counts as lost.
  bool resumes = false;
};

// What one reading gives.
struct LogPage {
  std::vector<LogEvent> events;
  std::uint64_t next = 0;  // give it as `after` to go on
  std::uint64_t lost = 0;  // events lost before or between those that were looked at
  bool more = false;       // it ended at a limit: there may be more behind `next`
};

// A search for the last events that match: where it is.
struct LogTail {
  std::uint64_t count = 0;                   // so many more are wanted
  std::uint64_t before = ~std::uint64_t{0};  // events from this number on were looked at
};

class AppLog {
 public:
  // Makes the directory when it is missing.
  static Result<AppLog> Open(std::string directory, const LogRetention& retention);
  // Whether there is a log in the directory.
  static bool IsThere(const std::string& directory);
  // Whether Expire() would find something to drop, as far as names and times of files tell.
  static bool HoldsOld(const std::string& directory, const LogRetention& retention, WallTime now);

  // Numbers the events and writes them, the first `written` of them when it fails (kStorageFull for
  // a full disk); the others have no number.
  Result<void> Append(std::vector<LogEvent>& events, WallTime now, std::size_t& written);
  // Drops what is too old although nothing is appended.
  Result<void> Expire(WallTime now);

  // The events of the range that match. Looks at 4 MiB of records at most, so that a search through
  // a large log is many readings, with room for others between them.
  Result<LogPage> Read(const LogRange& range);

  // Looks at one more segment, the newest first, for the last `tail.count` events that match. The
  // number behind which they begin once it is known; empty: ask again.
  Result<std::optional<std::uint64_t>> SeekTail(const LogFilter& filter, LogTail& tail);

  // The number of the newest event; 0 when there was none so far. Sees what others appended.
  Result<std::uint64_t> Last();

 private:
  // What the file "position" holds: where whoever wrote last stopped. 64-bit fields, no gaps.
  struct Position {
    std::uint64_t boot = 0;  // of the machine: what a loss of power leaves of a file is unknown
    std::uint64_t segment = 0;
    std::uint64_t size = 0;
    std::uint64_t last = 0;
    std::int64_t began = 0;  // µs since 1970 UTC
    bool operator==(const Position&) const = default;
  };
  struct Reading;

  AppLog(std::string directory, const LogRetention& retention)
      : directory_(std::move(directory)), retention_(retention) {}

  // Looks at the directory anew when somebody else changed it. Under lock.
  Result<void> Refresh();
  Result<void> Reload();
  Result<void> ScanNewest();
  Result<void> StartSegment(WallTime now);
  Result<void> WriteRecords(std::string_view records);
  Position OwnPosition() const;
  std::optional<Position> SavedPosition() const;
  Result<void> SavePosition();
  // Whether the saved position fits the newest segment; then it is taken.
  bool TakePosition();
  // Whether a record of `more` bytes belongs into the next segment, `pending` being on their way.
  bool SegmentIsFull(std::size_t pending, std::size_t more, WallTime now) const;
  void DropOld(WallTime now);
  void AddToIndex(std::uint64_t sequence, std::uint64_t offset);
  Result<void> ReadSegment(std::size_t index, Reading& reading);
  // Opens a segment that is not the newest into `opened`; the descriptor to read either from.
  Result<int> OpenToRead(std::size_t index, UniqueFd& opened) const;
  // The offset of a record that is not behind the first one above `after`.
  std::uint64_t OffsetFor(std::size_t index, std::uint64_t after) const;
  // Whether a segment's first event, and with it all older segments, is from before `since`.
  Result<bool> BeginsBefore(std::size_t index, WallTime since) const;
  // The oldest segment that may hold what `range` wants; there is at least one.
  Result<std::size_t> FirstSegment(const LogRange& range) const;
  std::string PathOf(std::uint64_t first) const;

  std::string directory_;
  LogRetention retention_;
  UniqueFd position_;  // its lock is the log's lock
  UniqueFd newest_;
  std::vector<std::uint64_t> segments_;  // first sequence numbers, ascending
  std::uint64_t size_ = 0;               // of the newest segment
  std::uint64_t last_ = 0;
  WallTime segment_began_;
  // Of the newest segment, about every 64 KiB: (sequence, offset of its record). What was written
  // before this was opened may be missing.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> index_;
  // Where the last reading ended: the next one mostly goes on there.
  struct Place {
    std::uint64_t segment = 0;
    std::uint64_t sequence = 0;
    std::uint64_t offset = 0;
  };
  Place read_to_;
};

}  // namespace cloister
