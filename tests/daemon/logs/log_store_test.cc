#include "daemon/logs/log_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/logs/redactor.h"
#include "tests/support/fake_clock.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

constexpr AppId kApp{1};
const std::string kLongName(61, 'N');

LogEvent EventOf(std::string bytes, AppId app = kApp) {
  LogEvent event;
  event.app = app;
  event.release = "1.0.0";
  event.bytes = std::move(bytes);
  return event;
}

class LogStoreTest : public testing::Test {
 protected:
  void Make(const LogLimits& limits = {}) {
    store_ = std::make_unique<LogStore>(loop_, clock_, dir_.path(), limits);
  }
  LogPage Read(LogQuery query) {
    bool done = false;
    LogPage page;
    query.app = query.app.valid() ? query.app : kApp;
    store_->Read(query, [&](Result<LogPage> read) {
      done = true;
      ASSERT_TRUE(read.ok()) << read.error().message;
      page = std::move(read).value();
    });
    EXPECT_TRUE(RunUntil(loop_, [&] { return done; }));
    return page;
  }
  void Flush() {
    bool flushed = false;
    store_->Flush([&] { flushed = true; });
    ASSERT_TRUE(RunUntil(loop_, [&] { return flushed; }));
  }
  static LogQuery After(std::uint64_t after, Millis wait = Millis(0)) {
    LogQuery query;
    query.after = after;
    query.wait = wait;
    return query;
  }

  TempDir dir_;
  FakeClock clock_;
  Loop loop_;
  std::unique_ptr<LogStore> store_;
};

TEST_F(LogStoreTest, EventsArriveInOrderAndNumbered) {
  Make();
  for (int i = 0; i < 500; ++i)
    store_->Append(EventOf("line " + std::to_string(i)));
  Flush();
  const LogPage page = Read(After(0));
  ASSERT_EQ(page.events.size(), 500U);
  for (std::size_t i = 0; i < 500; ++i) {
    EXPECT_EQ(page.events[i].sequence, i + 1);
    EXPECT_EQ(page.events[i].bytes, "line " + std::to_string(i));
  }
  EXPECT_EQ(page.next, 500U);
  EXPECT_EQ(page.lost, 0U);
}

TEST_F(LogStoreTest, AnEventCostsWhatIsKeptOfItNotWhatWasSaid) {
  // Eight bytes become a name of seventy.
  const auto redactor = Redactor::Create(
      std::vector<NamedSecret>{{.name = std::string_view(kLongName), .value = "12345678"}});
  const auto event_of = [&](int secrets, std::size_t more) {
    std::string text;
    for (int i = 0; i < secrets; ++i)
      text += "12345678";
    LogEvent event = EventOf(text + std::string(more, 'x'));
    event.secrets = std::make_shared<const Redactors>(Redactors{redactor});
    return event;
  };
  LogLimits limits;
  limits.rate = Bytes{1};
  limits.burst = Bytes{2000};
  limits.event_max = Bytes{1500};
  Make(limits);
  store_->Append(event_of(20, 0));  // 160 bytes, of which 1,400 are kept
  Flush();
  EXPECT_EQ(Read(After(0)).events.at(0).bytes.size(), 20 * 70U);
  EXPECT_EQ(store_->lost_total(), 0U);
  store_->Append(event_of(0, 600));
  EXPECT_EQ(store_->lost_total(), 1U) << "there are 536 left";
  store_->Append(event_of(0, 400));
  EXPECT_EQ(store_->lost_total(), 1U);
}

TEST_F(LogStoreTest, WhatNamesMakeTooLargeIsCutAgain) {
  const auto redactor = Redactor::Create(
      std::vector<NamedSecret>{{.name = std::string_view(kLongName), .value = "12345678"}});
  LogLimits limits;
  limits.burst = MiB(8);
  Make(limits);
  LogEvent event = EventOf(std::string());
  while (event.bytes.size() + 9 <= kLogEventMax)
    event.bytes += "12345678 ";
  event.secrets = std::make_shared<const Redactors>(Redactors{redactor});
  store_->Append(std::move(event));
  store_->Append(EventOf("behind it"));
  Flush();
  const LogPage page = Read(After(0));
  ASSERT_EQ(page.events.size(), 2U);
  EXPECT_EQ(page.events[0].bytes.size(), kLogEventMax);
  EXPECT_TRUE(page.events[0].cut);
  EXPECT_EQ(page.events[1].bytes, "behind it");
}

TEST_F(LogStoreTest, TailGivesTheLastOnes) {
  Make();
  for (int i = 0; i < 10; ++i)
    store_->Append(EventOf(std::to_string(i)));
  Flush();
  LogQuery query;
  query.tail = 3;
  const LogPage page = Read(query);
  ASSERT_EQ(page.events.size(), 3U);
  EXPECT_EQ(page.events.front().bytes, "7");
  query.tail = 100;
  EXPECT_EQ(Read(query).events.size(), 10U);
}

// Each tenth of so many is an error.
std::vector<LogEvent> WithErrors(std::size_t count, const std::string& text) {
  std::vector<LogEvent> events;
  for (std::size_t i = 1; i <= count; ++i) {
    events.push_back(EventOf(text));
    events.back().level = i % 10 == 0 ? 40 : 20;
  }
  return events;
}

constexpr LogLimits kNoRate{.retention = {}, .rate = MiB(1024), .burst = MiB(1024)};

TEST_F(LogStoreTest, AFilterIsAppliedToAllOfALargeLog) {
  Make(kNoRate);
  for (LogEvent& event : WithErrors(20'000, std::string(1000, 'x')))
    store_->Append(std::move(event));
  store_->Append(EventOf("printed"));
  LogEvent last = EventOf("the needle");
  last.level = 50;
  store_->Append(std::move(last));
  Flush();
  // Over 20 MiB, so several jobs look for it; the first page has it nevertheless.
  const LogPage page = Read({.app = kApp, .tail = {}, .filter = {.level = 41}});
  ASSERT_EQ(page.events.size(), 1U);
  EXPECT_EQ(page.events[0].bytes, "the needle");
  EXPECT_EQ(page.next, 20'002U);
  const LogPage tail = Read({.app = kApp, .tail = 3, .filter = {.level = 40}});
  ASSERT_EQ(tail.events.size(), 3U);
  EXPECT_EQ(tail.events[0].sequence, 19'990U);
  EXPECT_EQ(tail.events[2].sequence, 20'002U);
  const LogPage none = Read({.app = kApp, .tail = {}, .filter = {.release = "2"}});
  EXPECT_TRUE(none.events.empty());
  EXPECT_EQ(none.next, 20'002U) << "looked at, and not again";
}

TEST_F(LogStoreTest, AFollowerWithAFilterHearsOnlyOfWhatMatches) {
  Make();
  std::optional<LogPage> page;
  store_->Read({.app = kApp, .tail = 10, .wait = Millis(60000), .filter = {.level = 40}},
               [&](Result<LogPage> read) { page = std::move(read).value(); });
  store_->Append(EventOf("printed"));
  Flush();
  // By then the follower has looked as well: an app's readings run in their order.
  EXPECT_EQ(Read(After(0)).events.size(), 1U);
  EXPECT_EQ(Read(After(0)).events.size(), 1U);
  EXPECT_FALSE(page);
  LogEvent error = EventOf("failed");
  error.level = 40;
  store_->Append(std::move(error));
  ASSERT_TRUE(RunUntil(loop_, [&] { return page.has_value(); }));
  const LogPage got = page.value_or(LogPage());
  ASSERT_EQ(got.events.size(), 1U);
  EXPECT_EQ(got.events[0].bytes, "failed");
}

TEST_F(LogStoreTest, ASearchDoesNotHoldUpWhatIsWritten) {
  Make(kNoRate);
  for (LogEvent& event : WithErrors(40'000, std::string(1000, 'x')))
    store_->Append(std::move(event));
  Flush();
  bool searched = false;
  store_->Read({.app = kApp, .tail = {}, .filter = {.level = 50}},
               [&](const Result<LogPage>& /*page*/) { searched = true; });
  std::optional<bool> searched_when_written;
  constexpr AppId kOther{2};
  store_->Append(EventOf("other", kOther));
  store_->Flush([&] { searched_when_written = searched; });
  ASSERT_TRUE(RunUntil(loop_, [&] { return searched; }));
  ASSERT_TRUE(searched_when_written.has_value());
  EXPECT_EQ(searched_when_written, std::optional<bool>(false))
      << "40 MiB are ten jobs, with turns of others between them";
}

TEST_F(LogStoreTest, AppsDoNotSeeEachOther) {
  Make();
  store_->Append(EventOf("mine"));
  store_->Append(EventOf("theirs", {2}));
  Flush();
  EXPECT_EQ(Read(After(0)).events.size(), 1U);
  LogQuery other;
  other.app = {2};
  EXPECT_EQ(Read(other).events.front().bytes, "theirs");
  EXPECT_EQ(Read(other).events.front().sequence, 1U);
}

TEST_F(LogStoreTest, OverItsRateAnAppLosesEventsAndTheLogSaysHowMany) {
  LogLimits limits;
  limits.rate = KiB(1);
  limits.burst = KiB(10);
  Make(limits);
  std::size_t sent = 0;
  for (; sent < 100; ++sent)
    store_->Append(EventOf(std::string(1000, 'x')));
  EXPECT_GT(store_->lost_total(), 80U);
  clock_.Advance(Seconds(20));
  store_->Append(EventOf("again"));
  ++sent;
  Flush();
  const LogPage page = Read(After(0));
  ASSERT_GE(page.events.size(), 3U);
  const LogEvent& mark = page.events[page.events.size() - 2];
  EXPECT_EQ(mark.source, LogSource::kRuntime);
  EXPECT_EQ(mark.lost, page.lost);
  EXPECT_NE(mark.bytes.find(std::to_string(page.lost) + " events"), std::string::npos);
  EXPECT_EQ(page.events.back().bytes, "again");
  std::vector<std::string> said;
  for (const LogEvent& event : page.events)
    if (event.source == LogSource::kRuntime)
      said.push_back(event.bytes);
  EXPECT_EQ(page.events.size() - said.size() + page.lost, sent) << "every event is kept or counted";
  ASSERT_EQ(said.size(), 2U);
  EXPECT_TRUE(said[0].starts_with("This app comes near to its quota log.burst: ")) << said[0];
}

TEST_F(LogStoreTest, ALossIsToldEvenWhenNothingFollows) {
  LogLimits limits;
  limits.burst = KiB(1);
  Make(limits);
  store_->Append(EventOf(std::string(2000, 'x')));
  ASSERT_EQ(store_->lost_total(), 1U);
  std::optional<LogPage> page;
  store_->Read({.app = kApp, .tail = {}, .wait = Millis(60000)},
               [&](Result<LogPage> read) { page = std::move(read).value(); });
  ASSERT_TRUE(RunUntil(loop_, [&] { return page.has_value(); }));
  const LogPage got = page.value_or(LogPage());
  EXPECT_EQ(got.lost, 1U);
  EXPECT_EQ(got.events.size(), 1U);
}

TEST_F(LogStoreTest, WhatIsDeclinedCountsAsLost) {
  Make({.retention = {}, .rate = KiB(1), .burst = KiB(4)});
  const LogOutline outline{.app = kApp, .by_node = false, .bytes = 1000, .names = 0};
  int appended = 0;
  while (!store_->Decline(outline)) {
    store_->Append(EventOf(std::string(1000, 'x')));
    ASSERT_LT(++appended, 10);
  }
  EXPECT_EQ(appended, 3);
  EXPECT_TRUE(store_->Decline(outline));
  // The node's own words have a rate of their own.
  EXPECT_FALSE(store_->Decline({.app = kApp, .by_node = true, .bytes = 1000, .names = 0}));
  EXPECT_EQ(store_->lost_total(), 2U);
  Flush();
  const LogPage page = Read(After(0));
  ASSERT_EQ(page.events.size(), 4U);
  EXPECT_EQ(page.events.back().lost, 2U);
}

// What would be cut is counted as what is left of it, as when it is appended.
TEST_F(LogStoreTest, AnEventThatIsCutIsNotDeclinedForItsLength) {
  Make({.retention = {}, .rate = KiB(1), .burst = KiB(4), .event_max = KiB(1)});
  EXPECT_FALSE(store_->Decline({.app = kApp, .by_node = false, .bytes = 100000, .names = 0}));
}

TEST_F(LogStoreTest, AFloodDoesNotHideTheNodesOwnWords) {
  LogLimits limits;
  limits.burst = KiB(1);
  Make(limits);
  for (int i = 0; i < 100; ++i)
    store_->Append(EventOf(std::string(500, 'x')));
  LogEvent event = EventOf("the worker was ended");
  event.source = LogSource::kRuntime;
  event.by_node = true;
  store_->Append(std::move(event));
  Flush();
  EXPECT_EQ(Read(After(0)).events.back().bytes, "the worker was ended");
}

// Else an app that logs without end keeps the node from going.
TEST_F(LogStoreTest, AFlushDoesNotWaitForWhatIsAppendedLater) {
  LogLimits limits;
  limits.rate = limits.burst = MiB(1024);
  Make(limits);
  std::function<void()> flood = [&] {
    for (std::uint64_t app = 1; app <= 3; ++app)
      store_->Append(EventOf(std::string(100, 'x'), {app}));
    loop_.Post(flood);
  };
  flood();
  store_->Append(EventOf("before", {9}));
  Flush();
  flood = [] {};
  LogQuery query;
  query.app = {9};
  EXPECT_EQ(Read(query).events.size(), 1U);
}

TEST_F(LogStoreTest, AFlushTellsOfLosses) {
  LogLimits limits;
  limits.burst = KiB(1);
  Make(limits);
  store_->Append(EventOf(std::string(2000, 'x')));
  Flush();
  const LogPage page = Read(After(0));
  EXPECT_EQ(page.lost, 1U);
  EXPECT_EQ(page.events.size(), 1U);
}

TEST_F(LogStoreTest, AFlushWithNothingToWriteEndsAtOnce) {
  Make();
  Flush();
  store_->Append(EventOf("x"));
  Flush();
  Flush();
  EXPECT_EQ(Read(After(0)).events.size(), 1U);
}

TEST_F(LogStoreTest, AFlushDoesNotWaitForWhatIsRemoved) {
  Make();
  store_->Append(EventOf("x"));
  bool flushed = false;
  store_->Flush([&] { flushed = true; });
  store_->Remove(kApp, [] {});
  EXPECT_TRUE(RunUntil(loop_, [&] { return flushed; }));
}

TEST_F(LogStoreTest, OfThousandsOfAppsThatLoggedEachIsKept) {
  LogLimits limits;
  limits.open_max = 8;
  Make(limits);
  constexpr std::uint64_t kApps = 1100;
  for (std::uint64_t app = 1; app <= kApps; ++app)
    store_->Append(EventOf("first", {app}));
  Flush();
  clock_.Advance(Seconds(3600));  // all of them are idle, and forgotten
  for (std::uint64_t app = 1; app <= kApps; app += 100)
    store_->Append(EventOf("second", {app}));
  Flush();
  LogQuery query;
  query.app = {101};
  EXPECT_EQ(Read(query).next, 2U);
  query.app = {102};
  EXPECT_EQ(Read(query).next, 1U);
}

TEST_F(LogStoreTest, ALongEventIsCutAndSaysSo) {
  Make();
  store_->Append(EventOf(std::string(kLogEventMax, 'a')));
  store_->Append(EventOf(std::string(kLogEventMax + 1, 'b')));
  Flush();
  const LogPage page = Read(After(0));
  ASSERT_EQ(page.events.size(), 2U);
  EXPECT_FALSE(page.events[0].cut);
  EXPECT_TRUE(page.events[1].cut);
  EXPECT_EQ(page.events[1].bytes.size(), kLogEventMax);
}

TEST_F(LogStoreTest, AFollowerHearsOfWhatComes) {
  Make();
  store_->Append(EventOf("before"));
  Flush();
  std::optional<LogPage> page;
  store_->Read({.app = kApp, .after = 1, .tail = {}, .wait = Millis(60000)},
               [&](Result<LogPage> read) { page = std::move(read).value(); });
  bool looked = false;
  loop_.Post([&] { looked = true; });
  ASSERT_TRUE(RunUntil(loop_, [&] { return looked; }));
  EXPECT_FALSE(page);
  store_->Append(EventOf("after"));
  ASSERT_TRUE(RunUntil(loop_, [&] { return page.has_value(); }));
  const LogPage got = page.value_or(LogPage());
  ASSERT_EQ(got.events.size(), 1U);
  EXPECT_EQ(got.events.front().bytes, "after");
  EXPECT_EQ(got.next, 2U);
}

TEST_F(LogStoreTest, AWaitEndsWithNothing) {
  Make();
  std::optional<LogPage> page;
  store_->Read({.app = kApp, .after = 9, .tail = {}, .wait = Millis(1000)},
               [&](Result<LogPage> read) { page = std::move(read).value(); });
  clock_.Advance(Seconds(2));
  ASSERT_TRUE(RunUntil(loop_, [&] { return page.has_value(); }));
  const LogPage got = page.value_or(LogPage());
  EXPECT_TRUE(got.events.empty());
  EXPECT_EQ(got.next, 9U);
}

TEST_F(LogStoreTest, WhenNobodyMayWaitWhoWaitsIsAnswered) {
  Make();
  std::optional<LogPage> page;
  store_->Read({.app = kApp, .after = 9, .tail = {}, .wait = Millis(60000)},
               [&](Result<LogPage> read) { page = std::move(read).value(); });
  store_->EndWaits();
  ASSERT_TRUE(RunUntil(loop_, [&] { return page.has_value(); }));
  const LogPage got = page.value_or(LogPage());
  EXPECT_TRUE(got.events.empty());
  EXPECT_EQ(got.next, 9U);
  EXPECT_TRUE(Read(After(9, Millis(60000))).events.empty());
}

TEST_F(LogStoreTest, ACancelledReadingIsNotAnswered) {
  Make();
  bool answered = false;
  const LogReadId id = store_->Read({.app = kApp, .tail = {}, .wait = Millis(60000)},
                                    [&](const Result<LogPage>&) { answered = true; });
  store_->Cancel(id);
  store_->Append(EventOf("x"));
  Flush();
  EXPECT_FALSE(answered);
}

TEST_F(LogStoreTest, WhatWasAppendedIsThereAfterARestart) {
  Make();
  store_->Append(EventOf("last words"));
  Make();
  EXPECT_EQ(Read(After(0)).events.front().bytes, "last words");
}

TEST_F(LogStoreTest, FilesAreOpenedABoundedNumberAtATime) {
  LogLimits limits;
  limits.open_max = 4;
  Make(limits);
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t app = 1; app <= 40; ++app)
      store_->Append(EventOf(std::to_string(round), {app}));
    Flush();
    std::size_t logs = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
      logs += target.starts_with(dir_.path()) && target.ends_with(".log") ? 1U : 0U;
    }
    EXPECT_LE(logs, 4U);
  }
  LogQuery query;
  query.app = {17};
  EXPECT_EQ(Read(query).events.size(), 3U);
}

TEST_F(LogStoreTest, ARemovedAppsLogIsGoneAndStaysGone) {
  Make();
  store_->Append(EventOf("x"));
  Flush();
  bool removed = false;
  store_->Remove(kApp, [&] { removed = true; });
  ASSERT_TRUE(RunUntil(loop_, [&] { return removed; }));
  store_->Append(EventOf("from a worker that still ends"));
  Flush();
  EXPECT_FALSE(std::filesystem::exists(dir_.At("apps/1/log")));
}

TEST_F(LogStoreTest, WhatCannotBeWrittenWhileAnAppIsRemovedBringsNothingBack) {
  Make();
  // Where the log should be there is a file.
  dir_.Write("apps/1", "");
  store_->Append(EventOf("never written"));
  // The write is under way.
  loop_.Post([this] { loop_.Stop(); });
  loop_.Run();
  bool removed = false;
  store_->Remove(kApp, [&] {
    std::filesystem::remove(dir_.At("apps/1"));
    removed = true;
  });
  ASSERT_TRUE(RunUntil(loop_, [&] { return removed; }));
  EXPECT_EQ(store_->lost_total(), 0U);
  // It writes what it knows of losses.
  store_.reset();
  EXPECT_FALSE(std::filesystem::exists(dir_.At("apps/1")));
}

TEST_F(LogStoreTest, WhoFollowsARemovedAppGetsAnEndAndMakesNoFiles) {
  Make();
  store_->Append(EventOf("x"));
  Flush();
  std::optional<LogPage> page;
  store_->Read({.app = kApp, .after = 1, .tail = {}, .wait = Millis(60000)},
               [&](Result<LogPage> read) { page = std::move(read).value(); });
  Flush();
  store_->Remove(kApp, [] {});
  ASSERT_TRUE(RunUntil(loop_, [&] { return page.has_value(); }));
  const LogPage got = page.value_or(LogPage());
  EXPECT_TRUE(got.events.empty());
  EXPECT_FALSE(std::filesystem::exists(dir_.At("apps/1/log")));
}

TEST_F(LogStoreTest, ReadingWhatNeverLoggedMakesNoFiles) {
  Make();
  LogQuery query = After(7);
  EXPECT_EQ(Read(query).next, 7U);
  query.tail = 5;
  EXPECT_EQ(Read(query).next, 0U);
  EXPECT_FALSE(std::filesystem::exists(dir_.At("apps/1")));
}

}  // namespace
}  // namespace cloister
