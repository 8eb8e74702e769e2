#include "daemon/logs/app_log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

constexpr WallTime kStart{Seconds(1'700'000'000)};
constexpr std::size_t kPage = 1 << 20;

std::vector<LogEvent> Events(std::size_t count, const std::string& text = "event") {
  std::vector<LogEvent> events(count);
  for (std::size_t i = 0; i < count; ++i) {
    events[i].time = kStart;
    events[i].bytes = text + " " + std::to_string(i);
  }
  return events;
}

class AppLogTest : public testing::Test {
 protected:
  AppLog Open(const LogRetention& retention = {}) const {
    Result<AppLog> log = AppLog::Open(directory(), retention);
    EXPECT_TRUE(log.ok()) << log.error().message;
    return std::move(log).value();
  }
  static void Append(AppLog& log, std::vector<LogEvent> events, WallTime now = kStart) {
    std::size_t written = 0;
    const Result<void> appended = log.Append(events, now, written);
    EXPECT_TRUE(appended.ok()) << appended.error().message;
    EXPECT_EQ(written, events.size());
  }
  static LogPage Read(AppLog& log, std::uint64_t after = 0, std::size_t limit = 100'000) {
    return ReadAll(log, {.after = after, .limit = limit, .bytes_max = std::size_t{1} << 30});
  }
  // One reading after the other, until nothing is left or the limit is reached.
  static LogPage ReadAll(AppLog& log, LogRange range) {
    LogPage all;
    for (bool more = true; more && all.events.size() < range.limit;) {
      Result<LogPage> page = log.Read(range);
      EXPECT_TRUE(page.ok()) << page.error().message;
      range.after = all.next = page.value().next;
      range.resumes = true;
      all.lost += page.value().lost;
      std::ranges::move(page.value().events, std::back_inserter(all.events));
      more = page.value().more;
    }
    return all;
  }
  // Whether the events are numbered from `first` to `last` without a gap.
  static void ExpectNumbers(const LogPage& page, std::uint64_t first, std::uint64_t last) {
    ASSERT_EQ(page.events.size(), last - first + 1);
    for (const LogEvent& event : page.events)
      EXPECT_EQ(event.sequence, first++);
    EXPECT_EQ(page.next, last);
  }
  std::vector<std::string> Segments() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory()))
      if (entry.path().extension() == ".log")
        names.push_back(entry.path().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string directory() const { return dir_.At("apps/1/log"); }

  TempDir dir_;
};

TEST_F(AppLogTest, NumbersGoOnAfterAReopen) {
  {
    AppLog log = Open();
    EXPECT_EQ(log.Last().value(), 0U);
    Append(log, Events(3));
  }
  AppLog log = Open();
  EXPECT_EQ(log.Last().value(), 3U);
  Append(log, Events(2));
  ExpectNumbers(Read(log), 1, 5);
  ExpectNumbers(Read(log, 3), 4, 5);
  EXPECT_EQ(Read(log, 5).next, 5U);
  EXPECT_TRUE(Read(log, 5).events.empty());
}

TEST_F(AppLogTest, APageIsBoundedByCountAndBytes) {
  AppLog log = Open();
  Append(log, Events(100, std::string(1000, 'x')));
  ExpectNumbers(Read(log, 10, 5), 11, 15);
  const Result<LogPage> page = log.Read({.after = 0, .limit = 1000, .bytes_max = 10'000});
  ASSERT_TRUE(page.ok());
  EXPECT_LT(page.value().events.size(), 11U);
  EXPECT_GT(page.value().events.size(), 5U);
}

TEST_F(AppLogTest, ATornTailIsCutOffWhereverItIsTorn) {
  std::string whole;
  std::size_t two = 0;
  {
    AppLog log = Open();
    Append(log, Events(2));
    two = std::filesystem::file_size(Segments().front());
    Append(log, Events(1, "torn"));
    std::ifstream in(Segments().front(), std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (std::size_t size = two; size < whole.size(); ++size) {
    std::ofstream(Segments().front(), std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    AppLog log = Open();
    EXPECT_EQ(log.Last().value(), 2U) << size;
    Append(log, Events(1, "after"));
    const LogPage page = Read(log);
    ExpectNumbers(page, 1, 3);
    EXPECT_EQ(page.events.back().bytes, "after 0");
    EXPECT_EQ(page.lost, 0U);
  }
}

TEST_F(AppLogTest, GarbageBehindTheLastRecordIsCutOff) {
  {
    AppLog log = Open();
    Append(log, Events(2));
  }
  std::ofstream(Segments().front(), std::ios::binary | std::ios::app) << std::string(4096, '\0');
  AppLog log = Open();
  Append(log, Events(1));
  ExpectNumbers(Read(log), 1, 3);
}

TEST_F(AppLogTest, SegmentsFollowEachOtherAndTheOldestGo) {
  const LogRetention retention{.kept_bytes = KiB(64), .segment_bytes = KiB(16)};
  AppLog log = Open(retention);
  for (int i = 0; i < 100; ++i)
    Append(log, Events(10, std::string(200, 'x')));
  const LogPage page = Read(log);
  ASSERT_FALSE(page.events.empty());
  EXPECT_EQ(page.next, 1000U);
  ExpectNumbers(page, page.events.front().sequence, 1000);
  std::uintmax_t total = 0;
  for (const std::string& segment : Segments())
    total += std::filesystem::file_size(segment);
  EXPECT_LE(total, 64U * 1024);
  EXPECT_GT(total, 32U * 1024);
  AppLog reopened = Open(retention);
  EXPECT_EQ(Read(reopened).events.size(), page.events.size());
}

TEST_F(AppLogTest, OldEventsGoAndTheCountStays) {
  {
    AppLog log = Open();
    Append(log, Events(5));
    ASSERT_TRUE(log.Expire(kStart).ok());
    EXPECT_EQ(Read(log).events.size(), 5U);
    // Files have the machine's time, not the test's.
    const auto now = std::chrono::time_point_cast<Micros>(std::chrono::system_clock::now());
    ASSERT_TRUE(log.Expire(now + std::chrono::hours(24 * 8)).ok());
    EXPECT_TRUE(Read(log).events.empty());
  }
  AppLog log = Open();
  Append(log, Events(1));
  ExpectNumbers(Read(log), 6, 6);
}

TEST_F(AppLogTest, ASegmentEndsAfterADay) {
  AppLog log = Open();
  Append(log, Events(1));
  Append(log, Events(1), kStart + std::chrono::hours(23));
  EXPECT_EQ(Segments().size(), 1U);
  Append(log, Events(1), kStart + std::chrono::hours(25));
  EXPECT_EQ(Segments().size(), 2U);
  ExpectNumbers(Read(log), 1, 3);
}

TEST_F(AppLogTest, DamageInTheMiddleCostsItsSegmentsRestAndIsCounted) {
  AppLog log = Open({.segment_bytes = KiB(4)});
  Append(log, Events(100, std::string(100, 'x')));
  ASSERT_GE(Segments().size(), 3U);
  {
    std::fstream file(Segments().front(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(600);
    file << "damage";
  }
  const LogPage page = Read(log);
  EXPECT_EQ(page.next, 100U);
  EXPECT_GT(page.lost, 0U);
  EXPECT_EQ(page.events.size() + page.lost, 100U);
}

TEST_F(AppLogTest, TwoProcessesMayAppendToOneLog) {
  AppLog one = Open({.segment_bytes = KiB(4)});
  AppLog other = Open({.segment_bytes = KiB(4)});
  for (int i = 0; i < 50; ++i) {
    Append(one, Events(1, std::string(100, '1')));
    Append(other, Events(2, std::string(100, '2')));
  }
  ExpectNumbers(Read(one), 1, 150);
  ExpectNumbers(Read(other), 1, 150);
}

// In a process of its own: the limit cannot be raised again.
int AppendUnderFileLimit(const std::string& directory) {
  AppLog log = std::move(AppLog::Open(directory, {})).value();
  (void)::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {.rlim_cur = 100'000, .rlim_max = 100'000};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0)
    return 1;
  std::vector<LogEvent> small = Events(10);
  std::vector<LogEvent> large = Events(3, std::string(50'000, 'x'));
  std::size_t written = 0;
  if (!log.Append(small, kStart, written).ok() || written != 10)
    return 2;
  const Result<void> appended = log.Append(large, kStart, written);
  if (appended.ok() || appended.error().code != ErrorCode::kStorageFull || written != 0)
    return 3;
  if (!log.Append(small, kStart, written).ok())
    return 4;
  const Result<LogPage> page = log.Read({.after = 0, .limit = 1000, .bytes_max = kPage});
  return page.ok() && page.value().events.size() == 20 && page.value().next == 20 ? 0 : 5;
}

TEST_F(AppLogTest, AFullDiskLosesTheBatchAndNothingElse) {
  const pid_t child = ::fork();
  if (child == 0)
    ::_exit(AppendUnderFileLimit(directory()));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(AppLogTest, LargeBatchesAndEventsArriveWhole) {
  AppLog log = Open();
  std::vector<LogEvent> events = Events(40, std::string(kLogEventMax - 10, 'x'));
  Append(log, events);
  const LogPage page = Read(log);
  ExpectNumbers(page, 1, 40);
  EXPECT_EQ(page.events[17].bytes, events[17].bytes);
  EXPECT_GT(Segments().size(), 1U);
}

// Contents of the newest segment are not read when it is opened, as long as its size is known.
TEST_F(AppLogTest, OpeningReadsNothingWhenThePositionFits) {
  {
    AppLog log = Open();
    Append(log, Events(100));
  }
  const std::string segment = Segments().front();
  const auto size = std::filesystem::file_size(segment);
  std::ofstream(segment, std::ios::binary) << std::string(size, '#');
  AppLog log = Open();
  EXPECT_EQ(log.Last().value(), 100U);
  EXPECT_EQ(std::filesystem::file_size(segment), size);
}

TEST_F(AppLogTest, WhatWasWrittenAfterASecondOpeningIsFound) {
  for (int round = 0; round < 3; ++round) {
    AppLog log = Open();
    Append(log, Events(1000, std::string(300, 'e')));
  }
  AppLog log = Open();
  ExpectNumbers(Read(log), 1, 3000);
  ExpectNumbers(Read(log, 2500), 2501, 3000);
}

// Of another boot of the machine, or of none: the contents decide.
TEST_F(AppLogTest, APositionThatCannotBeTrustedIsNot) {
  const std::string position = directory() + "/position";
  for (const std::string& saved : {std::string(), std::string(16, '\0'), std::string(40, '\xee')}) {
    {
      AppLog log = Open();
      Append(log, Events(10));
    }
    const std::string segment = Segments().front();
    std::ofstream(segment, std::ios::binary | std::ios::app) << "half a record";
    std::ofstream(position, std::ios::binary) << saved;
    AppLog log = Open();
    Append(log, Events(1));
    const std::uint64_t last = log.Last().value();
    ExpectNumbers(Read(log), 1, last);
    EXPECT_EQ(last % 11, 0U);
  }
}

TEST_F(AppLogTest, APositionOfAnotherBootIsNotTrusted) {
  {
    AppLog log = Open();
    Append(log, Events(10));
  }
  // A loss of power may leave a size without its bytes.
  const std::string segment = Segments().front();
  const auto size = std::filesystem::file_size(segment);
  std::ofstream(segment, std::ios::binary) << std::string(size, '\0');
  {
    std::fstream file(directory() + "/position", std::ios::binary | std::ios::in | std::ios::out);
    file << "another!";
  }
  AppLog log = Open();
  EXPECT_EQ(std::filesystem::file_size(segment), 0U);
  Append(log, Events(5));
  EXPECT_EQ(Read(log).events.size(), 5U);
}

// Events a minute apart, of which each tenth is an error of release 2 and request R.
std::vector<LogEvent> Varied(std::size_t count) {
  std::vector<LogEvent> events = Events(count, std::string(1000, 'x'));
  for (std::size_t i = 0; i < count; ++i) {
    events[i].time = kStart + std::chrono::minutes(i);
    events[i].release = i % 10 == 9 ? "2" : "1";
    events[i].level = i % 10 == 9 ? 40 : 20;
    events[i].request_id = i % 10 == 9 ? "R" : "";
  }
  return events;
}

TEST_F(AppLogTest, OnlyWhatMatchesIsGivenAndTheRestIsPassed) {
  AppLog log = Open({.segment_bytes = KiB(64)});
  Append(log, Varied(1000));
  for (const LogFilter& filter :
       {LogFilter{.level = 40}, LogFilter{.release = "2"}, LogFilter{.request_id = "R"}}) {
    const LogPage page = ReadAll(log, {.filter = filter});
    ASSERT_EQ(page.events.size(), 100U);
    EXPECT_EQ(page.events.front().sequence, 10U);
    EXPECT_EQ(page.events.back().sequence, 1000U);
  }
  const LogPage none = ReadAll(log, {.filter = {.level = 41}});
  EXPECT_TRUE(none.events.empty());
  EXPECT_EQ(none.next, 1000U);
  EXPECT_EQ(none.lost, 0U);
}

TEST_F(AppLogTest, OneReadingLooksAtABoundedPart) {
  AppLog log = Open();
  Append(log, Varied(10'000));
  LogRange range{.filter = {.level = 50}};
  std::size_t readings = 0;
  for (bool more = true; more; ++readings) {
    Result<LogPage> page = log.Read(range);
    ASSERT_TRUE(page.ok());
    more = page.value().more;
    EXPECT_EQ(more, page.value().next < 10'000U);
    range.after = page.value().next;
  }
  EXPECT_EQ(readings, 3U) << "of 4 MiB of the 10 MiB each";
}

TEST_F(AppLogTest, SinceGivesWhatIsNewerAndReadsNoOlderSegment) {
  AppLog log = Open({.segment_bytes = KiB(64)});
  Append(log, Varied(1000));
  const WallTime since = kStart + std::chrono::minutes(900);
  EXPECT_EQ(ReadAll(log, {.filter = {.since = since}}).events.size(), 100U);
  std::vector<std::string> segments = Segments();
  std::sort(segments.begin(), segments.end());
  ASSERT_GT(segments.size(), 10U);
  // Nobody can read what is not there any more.
  for (std::size_t i = 0; i < segments.size() / 2; ++i)
    std::filesystem::remove(segments[i]);
  const LogPage page = ReadAll(log, {.filter = {.since = since}});
  ASSERT_EQ(page.events.size(), 100U);
  EXPECT_EQ(page.events.front().sequence, 901U);
  EXPECT_EQ(page.lost, 0U);
}

TEST_F(AppLogTest, AnEventThatComesLateIsNotSkipped) {
  AppLog log = Open({.segment_bytes = KiB(16)});
  std::vector<LogEvent> events = Varied(40);
  // Written behind later ones, as those that a draining node sends are.
  std::swap(events[15].time, events[16].time);
  Append(log, events);
  for (int minute = 0; minute < 40; ++minute) {
    const WallTime since = kStart + std::chrono::minutes(minute);
    EXPECT_EQ(ReadAll(log, {.filter = {.since = since}}).events.size(),
              static_cast<std::size_t>(40 - minute));
  }
}

TEST_F(AppLogTest, WhatIsMissingBehindWhereAReaderWasIsLost) {
  AppLog log = Open({.kept_bytes = KiB(64), .segment_bytes = KiB(16)});
  Append(log, Varied(1000));
  const LogPage page = ReadAll(log, {.after = 10, .resumes = true});
  ASSERT_FALSE(page.events.empty());
  const std::uint64_t oldest = page.events.front().sequence;
  EXPECT_GT(oldest, 900U);
  EXPECT_EQ(page.lost, oldest - 11);
  EXPECT_EQ(ReadAll(log, {.after = 10}).lost, 0U) << "it never was there";
}

// The numbers of the last `count` events that match, as one finds them.
std::vector<std::uint64_t> Tail(AppLog& log, const LogFilter& filter, std::uint64_t count) {
  LogTail tail{.count = count};
  std::optional<std::uint64_t> after;
  while (!after) {
    const auto step = log.SeekTail(filter, tail);
    EXPECT_TRUE(step.ok());
    after = step.value();
  }
  std::vector<std::uint64_t> numbers;
  LogRange range{.after = *after, .filter = filter};
  for (bool more = true; more;) {
    Result<LogPage> page = log.Read(range);
    for (const LogEvent& event : page.value().events)
      numbers.push_back(event.sequence);
    range.after = page.value().next;
    more = page.value().more;
  }
  return numbers;
}

TEST_F(AppLogTest, TheLastThatMatchAreFoundFromTheEnd) {
  AppLog log = Open({.segment_bytes = KiB(64)});
  const LogFilter errors{.level = 40};
  EXPECT_TRUE(Tail(log, errors, 3).empty()) << "an empty log";
  Append(log, Varied(1000));
  using Numbers = std::vector<std::uint64_t>;
  EXPECT_EQ(Tail(log, errors, 0), Numbers());
  EXPECT_EQ(Tail(log, errors, 1), Numbers({1000}));
  EXPECT_EQ(Tail(log, errors, 3), Numbers({980, 990, 1000}));
  EXPECT_EQ(Tail(log, errors, 100).size(), 100U);
  EXPECT_EQ(Tail(log, errors, 101).size(), 100U);
  EXPECT_EQ(Tail(log, {.level = 50}, 5), Numbers());
  const LogFilter recent{.since = kStart + std::chrono::minutes(985), .level = 40};
  EXPECT_EQ(Tail(log, recent, 5), Numbers({990, 1000}));
}

}  // namespace
}  // namespace cloister
