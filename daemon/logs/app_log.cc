#include "daemon/logs/app_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <iterator>
#include <memory>

#include "apis/base/directories.h"
#include "daemon/logs/log_record.h"

namespace cloister {
namespace {

constexpr std::string_view kSuffix = ".log";
constexpr std::size_t kDigits = 20;
constexpr std::uint64_t kIndexStep = 64 * 1024;
constexpr std::size_t kChunkMax = std::size_t{1024} * 1024;
static_assert(kChunkMax > kLogRecordHeader + kLogRecordMax, "a chunk begins with a whole record");
constexpr std::uint64_t kAll = ~std::uint64_t{0};
// What one reading looks at.
constexpr std::size_t kScanMax = std::size_t{4} * 1024 * 1024;
// Beyond its bytes, what an event costs in an answer.
constexpr std::size_t kEventOverhead = 256;
// Events that another process sends late, and small corrections of the clock, put an event this
// much behind a later one.
constexpr Seconds kDisorder{60};

// Held for the time of one operation; processes exclude each other, a dead one holds nothing.
class FileLock {
 public:
  explicit FileLock(int fd) : fd_(fd) {
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock() { ::flock(fd_, LOCK_UN); }

 private:
  int fd_;
};

std::string SegmentPath(const std::string& directory, std::uint64_t first) {
  return fmt::format("{}/{:020}{}", directory, first, kSuffix);
}

// The number in a segment's name; 0 for another file.
std::uint64_t SegmentOf(std::string_view name) {
  if (name.size() != kDigits + kSuffix.size() || !name.ends_with(kSuffix))
    return 0;
  std::uint64_t first = 0;
  const char* end = name.data() + kDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, first);
  return error == std::errc() && stop == end ? first : 0;
}

Result<std::vector<std::uint64_t>> ListSegments(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir(directory.c_str()), ::closedir);
  if (handle == nullptr)
    return SystemError("reading " + directory);
  std::vector<std::uint64_t> segments;
  while (const dirent* entry = ::readdir(handle.get()))
    if (const std::uint64_t first = SegmentOf(entry->d_name); first != 0)
      segments.push_back(first);
  std::sort(segments.begin(), segments.end());
  return segments;
}

// Everything from `offset` on, at most `most` bytes.
Result<std::string> ReadFrom(int fd, std::uint64_t offset, std::uint64_t most) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0)
    return SystemError("sizing a log segment");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  std::string bytes(std::min(size > offset ? size - offset : 0, most), '\0');
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t count =
        ::pread(fd, bytes.data() + got, bytes.size() - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return SystemError("reading a log segment");
    if (count == 0)
      break;
    got += static_cast<std::size_t>(count);
  }
  bytes.resize(got);
  return bytes;
}

// Names the boot of the machine; 0 when that is not known.
std::uint64_t ReadBoot() {
  const UniqueFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  std::array<char, 8> digits = {};
  if (!fd.valid() || ::read(fd.get(), digits.data(), digits.size()) != std::ssize(digits))
    return 0;
  std::uint64_t boot = 0;
  std::memcpy(&boot, digits.data(), sizeof boot);
  return boot;
}

std::uint64_t Boot() {
  static const std::uint64_t kBoot = ReadBoot();
  return kBoot;
}

// Gives `visit` each record's event, and its size on disk, until it answers false, or the records
// end: at the end of the file, or at damage. What that swallows shows as a gap in the numbers. The
// offset behind the last one.
template <typename Visit>
Result<std::uint64_t> ScanRecords(int fd, std::uint64_t offset, Visit visit) {
  for (;;) {
    const std::string bytes = TRY(ReadFrom(fd, offset, kChunkMax));
    std::string_view rest = bytes;
    bool goes_on = true;
    while (goes_on) {
      const std::size_t before = rest.size();
      std::optional<LogEvent> event = TakeLogRecord(rest);
      if (!event)
        break;
      goes_on = visit(std::move(*event), before - rest.size());
    }
    const std::size_t taken = bytes.size() - rest.size();
    offset += taken;
    if (!goes_on || taken == 0)
      return offset;
  }
}

std::optional<std::uint64_t> SizeOf(int fd) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0)
    return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

struct AppLog::Reading {
  const LogRange& range;
  std::uint64_t expected = 0;  // the number that comes next if none is missing; 0: any
  std::size_t bytes_left = 0;
  std::size_t scan_left = kScanMax;
  LogPage page = {};

  bool full() const {
    return page.events.size() >= range.limit || bytes_left == 0 || scan_left == 0;
  }
  // Takes an event whose record has so many bytes.
  void Take(LogEvent event, std::size_t record) {
    // What stands before the range in its segment is no more than that.
    if (event.sequence <= range.after)
      return;
    scan_left -= std::min(scan_left, record);
    if (expected != 0 && event.sequence > expected)
      page.lost += event.sequence - expected;
    expected = event.sequence + 1;
    page.lost += event.lost;
    page.next = event.sequence;
    if (!range.filter.Matches(event))
      return;
    const std::size_t cost = event.bytes.size() + event.fields.size() + kEventOverhead;
    bytes_left -= std::min(bytes_left, cost);
    page.events.push_back(std::move(event));
  }
};

std::string AppLog::PathOf(std::uint64_t first) const {
  return SegmentPath(directory_, first);
}

bool AppLog::IsThere(const std::string& directory) {
  return ::access((directory + "/position").c_str(), F_OK) == 0;
}

bool AppLog::HoldsOld(const std::string& directory, const LogRetention& retention, WallTime now) {
  const Result<std::vector<std::uint64_t>> segments = ListSegments(directory);
  if (!segments.ok() || segments.value().empty())
    return false;
  if (segments.value().size() * retention.segment_bytes.count > retention.kept_bytes.count)
    return true;
  struct stat status = {};
  const std::string oldest = SegmentPath(directory, segments.value().front());
  return ::stat(oldest.c_str(), &status) == 0 &&
         now - WallTime(Seconds(status.st_mtim.tv_sec)) > retention.kept_age;
}

Result<AppLog> AppLog::Open(std::string directory, const LogRetention& retention) {
  TRY(MakeDirectories(directory, 3));
  AppLog log(std::move(directory), retention);
  const std::string path = log.directory_ + "/position";
  log.position_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!log.position_.valid())
    return SystemError("opening " + path);
  const FileLock lock(log.position_.get());
  TRY(log.Reload());
  return log;
}

AppLog::Position AppLog::OwnPosition() const {
  return {.boot = Boot(),
          .segment = segments_.empty() ? 0 : segments_.back(),
          .size = size_,
          .last = last_,
          .began = segment_began_.time_since_epoch().count()};
}

std::optional<AppLog::Position> AppLog::SavedPosition() const {
  Position saved;
  if (::pread(position_.get(), &saved, sizeof saved, 0) != static_cast<ssize_t>(sizeof saved))
    return std::nullopt;
  return saved;
}

Result<void> AppLog::SavePosition() {
  const Position own = OwnPosition();
  if (::pwrite(position_.get(), &own, sizeof own, 0) != static_cast<ssize_t>(sizeof own))
    return SystemError("writing " + directory_ + "/position");
  return {};
}

bool AppLog::TakePosition() {
  const std::optional<Position> saved = SavedPosition();
  if (!saved || saved->boot == 0 || saved->boot != Boot() || saved->segment != segments_.back() ||
      SizeOf(newest_.get()) != saved->size)
    return false;
  size_ = saved->size;
  last_ = saved->last;
  segment_began_ = WallTime(Micros(saved->began));
  return true;
}

Result<void> AppLog::Refresh() {
  const bool same_size = !newest_.valid() || SizeOf(newest_.get()) == size_;
  if (same_size && SavedPosition() == OwnPosition())
    return {};
  return Reload();
}

Result<void> AppLog::Reload() {
  segments_ = TRY(ListSegments(directory_));
  newest_.Reset();
  size_ = 0;
  last_ = 0;
  index_.clear();
  if (!segments_.empty()) {
    const std::string path = PathOf(segments_.back());
    newest_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!newest_.valid())
      return SystemError("opening " + path);
    if (TakePosition())
      return {};
    TRY(ScanNewest());
  }
  return SavePosition();
}

Result<void> AppLog::ScanNewest() {
  const std::string bytes = TRY(ReadFrom(newest_.get(), 0, kAll));
  std::string_view rest = bytes;
  last_ = segments_.back() - 1;
  std::string_view first_record = rest;
  const std::optional<LogEvent> first = TakeLogRecord(first_record);
  segment_began_ = first ? first->time : WallTime();
  while (!rest.empty()) {
    const std::uint64_t offset = bytes.size() - rest.size();
    const std::optional<std::uint64_t> sequence = SkipLogRecord(rest);
    if (!sequence)
      break;
    AddToIndex(*sequence, offset);
    last_ = *sequence;
  }
  size_ = bytes.size() - rest.size();
  // What a crash left half-written is cut off, or it would swallow the records behind it.
  if (!rest.empty() && ::ftruncate(newest_.get(), static_cast<off_t>(size_)) != 0)
    return SystemError("cutting off a torn log record");
  return {};
}

void AppLog::AddToIndex(std::uint64_t sequence, std::uint64_t offset) {
  if (index_.empty() || offset - index_.back().second >= kIndexStep)
    index_.emplace_back(sequence, offset);
}

bool AppLog::SegmentIsFull(std::size_t pending, std::size_t more, WallTime now) const {
  if (!newest_.valid())
    return true;
  const std::uint64_t used = size_ + pending;
  if (used == 0)
    return false;
  return used + more > retention_.segment_bytes.count ||
         now - segment_began_ > retention_.segment_age;
}

Result<void> AppLog::StartSegment(WallTime now) {
  const std::uint64_t first = last_ + 1;
  const std::string path = PathOf(first);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid())
    return SystemError("making " + path);
  newest_ = std::move(fd);
  segments_.push_back(first);
  size_ = 0;
  index_.clear();
  segment_began_ = now;
  DropOld(now);
  return SavePosition();
}

void AppLog::DropOld(WallTime now) {
  std::uint64_t total = retention_.segment_bytes.count;  // what the newest will grow to
  std::size_t keep_from = segments_.size() - 1;
  while (keep_from > 0) {
    struct stat status = {};
    if (::stat(PathOf(segments_[keep_from - 1]).c_str(), &status) != 0)
      break;
    total += static_cast<std::uint64_t>(status.st_size);
    const WallTime written{Seconds(status.st_mtim.tv_sec)};
    if (total > retention_.kept_bytes.count || now - written > retention_.kept_age)
      break;
    --keep_from;
  }
  for (std::size_t i = 0; i < keep_from; ++i)
    ::unlink(PathOf(segments_[i]).c_str());
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(keep_from));
}

Result<void> AppLog::Expire(WallTime now) {
  const FileLock lock(position_.get());
  TRY(Refresh());
  if (segments_.empty())
    return {};
  struct stat status = {};
  if (size_ > 0 && ::fstat(newest_.get(), &status) == 0 &&
      now - WallTime(Seconds(status.st_mtim.tv_sec)) > retention_.kept_age)
    return StartSegment(now);  // an empty one keeps the count
  DropOld(now);
  return {};
}

Result<void> AppLog::WriteRecords(std::string_view records) {
  std::size_t done = 0;
  while (done < records.size()) {
    const ssize_t count = ::pwrite(newest_.get(), records.data() + done, records.size() - done,
                                   static_cast<off_t>(size_ + done));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0) {
      Error error = SystemError("writing a log segment");
      // Half a record must not stand in front of later ones.
      if (::ftruncate(newest_.get(), static_cast<off_t>(size_)) != 0)
        newest_.Reset();
      return error;
    }
    done += static_cast<std::size_t>(count);
  }
  size_ += records.size();
  return {};
}

Result<void> AppLog::Append(std::vector<LogEvent>& events, WallTime now, std::size_t& written) {
  written = 0;
  const FileLock lock(position_.get());
  TRY(Refresh());
  while (written < events.size()) {
    if (SegmentIsFull(0, events[written].bytes.size(), now))
      TRY(StartSegment(now));
    std::string chunk;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> offsets;
    std::size_t end = written;
    std::uint64_t sequence = last_;
    for (; end < events.size() && chunk.size() < kChunkMax; ++end) {
      if (end > written && SegmentIsFull(chunk.size(), events[end].bytes.size(), now))
        break;
      events[end].sequence = ++sequence;
      offsets.emplace_back(sequence, size_ + chunk.size());
      AppendLogRecord(chunk, events[end]);
    }
    TRY(WriteRecords(chunk));
    for (const auto& [number, offset] : offsets)
      AddToIndex(number, offset);
    last_ = sequence;
    written = end;
    TRY(SavePosition());
  }
  return {};
}

Result<std::uint64_t> AppLog::Last() {
  const FileLock lock(position_.get());
  TRY(Refresh());
  return last_;
}

Result<int> AppLog::OpenToRead(std::size_t index, UniqueFd& opened) const {
  if (index + 1 == segments_.size())
    return newest_.get();
  const std::string path = PathOf(segments_[index]);
  opened = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!opened.valid())
    return SystemError("opening " + path);
  return opened.get();
}

std::uint64_t AppLog::OffsetFor(std::size_t index, std::uint64_t after) const {
  std::uint64_t offset = 0;
  if (index + 1 == segments_.size()) {
    for (const auto& [sequence, position] : index_)
      if (sequence <= after + 1)
        offset = position;
  }
  if (read_to_.segment == segments_[index] && read_to_.sequence <= after)
    offset = std::max(offset, read_to_.offset);
  return offset;
}

Result<void> AppLog::ReadSegment(std::size_t index, Reading& reading) {
  UniqueFd opened;
  const int fd = TRY(OpenToRead(index, opened));
  std::uint64_t offset = OffsetFor(index, reading.range.after);
  const std::uint64_t end =
      TRY(ScanRecords(fd, offset, [&reading](LogEvent event, std::size_t size) {
        reading.Take(std::move(event), size);
        return !reading.full();
      }));
  if (end > offset)
    read_to_ = {.segment = segments_[index], .sequence = reading.page.next, .offset = end};
  return {};
}

Result<bool> AppLog::BeginsBefore(std::size_t index, WallTime since) const {
  UniqueFd opened;
  const int fd = TRY(OpenToRead(index, opened));
  const std::string bytes = TRY(ReadFrom(fd, 0, kLogRecordHeader + kLogRecordMax));
  std::string_view rest = bytes;
  const std::optional<LogEvent> first = TakeLogRecord(rest);
  return first && first->time < since - kDisorder;
}

Result<std::size_t> AppLog::FirstSegment(const LogRange& range) const {
  const auto above = std::upper_bound(segments_.begin(), segments_.end(), range.after + 1);
  const auto least =
      static_cast<std::size_t>(std::max<std::ptrdiff_t>(above - segments_.begin(), 1) - 1);
  if (!range.filter.since)
    return least;
  std::size_t first = segments_.size() - 1;
  while (first > least && !TRY(BeginsBefore(first, *range.filter.since)))
    --first;
  return first;
}

Result<LogPage> AppLog::Read(const LogRange& range) {
  const FileLock lock(position_.get());
  TRY(Refresh());
  Reading reading{.range = range, .bytes_left = range.bytes_max};
  reading.page.next = range.after;
  if (segments_.empty())
    return std::move(reading.page);
  const std::size_t first = TRY(FirstSegment(range));
  // What `since` skips is not missing.
  const bool skips = first > 0 && segments_[first] > range.after + 1 && range.filter.since;
  if (range.resumes && !skips)
    reading.expected = range.after + 1;
  for (std::size_t i = first; i < segments_.size() && !reading.full(); ++i)
    TRY(ReadSegment(i, reading));
  reading.page.more = reading.full();
  return std::move(reading.page);
}

Result<std::optional<std::uint64_t>> AppLog::SeekTail(const LogFilter& filter, LogTail& tail) {
  const FileLock lock(position_.get());
  TRY(Refresh());
  const auto above = std::lower_bound(segments_.begin(), segments_.end(), tail.before);
  if (tail.count == 0 || above == segments_.begin())
    return std::optional(std::min(last_, tail.before - 1));
  const auto index = static_cast<std::size_t>(above - segments_.begin()) - 1;
  UniqueFd opened;
  const int fd = TRY(OpenToRead(index, opened));
  std::vector<std::uint64_t> found;
  TRY(ScanRecords(fd, 0, [&](const LogEvent& event, std::size_t /*size*/) {
    if (event.sequence < tail.before && filter.Matches(event))
      found.push_back(event.sequence);
    return event.sequence < tail.before;
  }));
  if (found.size() >= tail.count)
    return std::optional(found[found.size() - tail.count] - 1);
  tail.count -= found.size();
  tail.before = segments_[index];
  const bool is_last = index == 0 || (filter.since && TRY(BeginsBefore(index, *filter.since)));
  return is_last ? std::optional(tail.before - 1) : std::nullopt;
}

}  // namespace cloister
