#include <unistd.h>

#include <sqlite3.h>

#include "apis/persistence/streams.h"
#include "tests/apis/persistence/service_fixture.h"

namespace cloister {
namespace {

TEST_F(PersistenceServiceTest, WritesAndReads) {
  for (const std::size_t size : {std::size_t{5}, kObjectRowMax + 1, std::size_t{1} << 20}) {
    EXPECT_EQ(Write(Pattern(size)), "done");
    EXPECT_EQ(Read(Pattern(size), origin), Pattern(size));
  }
  EXPECT_EQ(Read("never written", origin), "nothing");
}

TEST_F(PersistenceServiceTest, WritersAtOneTimeShareATransaction) {
  Write("opens the store");
  const int before = jobs_run;
  std::vector<CallId> calls;
  calls.reserve(100);
  for (int i = 0; i < 100; ++i)
    calls.push_back(Begin(ObjectWrite{.data = std::to_string(i)}));
  for (const CallId call : calls)
    EXPECT_EQ(Outcome(call), "done");
  EXPECT_LE(jobs_run - before, 3);
  EXPECT_EQ(Totals().objects, 101U);
}

TEST_F(PersistenceServiceTest, AnotherAppsIdsAndNamesAreNotThere) {
  Write("mine");
  const Sha256 id = Sha256Of("mine");
  Take<NamePutResult>(Begin(NamePut{.name = "n", .id = id.view(), .condition = 0, .expected = {}}));
  CallOrigin other = origin;
  other.app = AppId{2};
  other.caller = 8;
  EXPECT_EQ(Read("mine", other), "nothing");
  EXPECT_FALSE(Take<NameGetResult>(Begin(NameGet{.name = "n"}, other)).id);
  EXPECT_EQ(Take<ObjectDeleteResult>(Begin(ObjectDelete{.id = id.view()}, other)).outcome, 0);
  EXPECT_TRUE(
      Take<ObjectListResult>(Begin(ObjectList{.after = {}, .limit = 10}, other)).ids.empty());
  const NamePut put{.name = "n", .id = id.view(), .condition = 0, .expected = {}};
  EXPECT_EQ(Take<NamePutResult>(Begin(put, other)).outcome,
            static_cast<std::uint8_t>(NamePutOutcome::kNoObject));
  EXPECT_EQ(Totals(2), ObjectTotals{});
  EXPECT_EQ(Read("mine", origin), "mine");
}

TEST_F(PersistenceServiceTest, StreamsOfManySizes) {
  for (const std::size_t size : {std::size_t{0}, kObjectRowMax, 3 * kObjectChunk + 5}) {
    const std::string bytes = Pattern(size);
    const std::uint64_t stream = BeginStream();
    std::vector<CallId> calls;
    for (std::size_t place = 0; place < size; place += 100000)
      calls.push_back(Begin(
          ObjectAppend{.stream = stream, .data = std::string_view(bytes).substr(place, 100000)}));
    // All of them are under way.
    const CallId end = Begin(ObjectFinish{.stream = stream});
    EXPECT_EQ(Take<ObjectFinishResult>(end).id, Sha256Of(bytes).view());
    for (const CallId call : calls)
      EXPECT_EQ(Outcome(call), "done");
    EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = stream, .data = "x"})), "stream_gone");
  }
  EXPECT_EQ(Totals().objects, 3U);
  EXPECT_EQ(Files().size(), 1U);
}

TEST_F(PersistenceServiceTest, AStreamIsOfOneWorker) {
  const std::uint64_t stream = BeginStream();
  CallOrigin other = origin;
  other.caller = 8;
  EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = stream, .data = "x"}, other)), "stream_gone");
  EXPECT_EQ(Outcome(Begin(ObjectFinish{.stream = stream}, other)), "stream_gone");
  EXPECT_EQ(Take<ObjectAbortResult>(Begin(ObjectAbort{.stream = stream}, other)).aborted, 0);
  EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = stream, .data = "x"})), "done");
}

TEST_F(PersistenceServiceTest, AStreamEndsWithItsWorker) {
  const std::uint64_t stream = BeginStream();
  EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = stream, .data = Pattern(200000)})), "done");
  EXPECT_EQ(Files().size(), 1U);
  const CallId under_way = Begin(ObjectAppend{.stream = stream, .data = Pattern(200000)});
  service->OnCallerGone(7);
  EXPECT_EQ(Outcome(under_way), "stream_gone");
  EXPECT_TRUE(RunUntil(loop, [&] { return Files().empty(); }));
  EXPECT_EQ(Outcome(Begin(ObjectFinish{.stream = stream})), "stream_gone");
  EXPECT_EQ(Totals(), ObjectTotals{});
}

TEST_F(PersistenceServiceTest, AStreamThatIsAbortedLeavesNothing) {
  const std::uint64_t stream = BeginStream();
  Outcome(Begin(ObjectAppend{.stream = stream, .data = Pattern(200000)}));
  EXPECT_EQ(Take<ObjectAbortResult>(Begin(ObjectAbort{.stream = stream})).aborted, 1);
  EXPECT_TRUE(RunUntil(loop, [&] { return Files().empty(); }));
}

TEST_F(PersistenceServiceTest, StreamsAreBounded) {
  std::vector<std::uint64_t> streams;
  streams.reserve(ObjectStreams::kOpenMax);
  for (std::size_t i = 0; i < ObjectStreams::kOpenMax; ++i)
    streams.push_back(BeginStream());
  EXPECT_EQ(Outcome(Begin(ObjectBegin{})), "too_many_streams");
  Outcome(Begin(ObjectAbort{.stream = streams[0]}));
  EXPECT_EQ(Outcome(Begin(ObjectBegin{})), "done");
}

TEST_F(PersistenceServiceTest, AStreamBeyondTheQuotaIsOver) {
  origin.quota.persistence.object_max = Bytes{200000};
  origin.quota.persistence.bytes_max = Bytes{300000};
  const std::uint64_t first = BeginStream();
  EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = first, .data = Pattern(200000)})), "done");
  const std::uint64_t second = BeginStream();
  EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = second, .data = Pattern(100001)})),
            "persistence.bytes")
      << "what is open counts";
  EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = second, .data = "x"})), "stream_gone");
  EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = first, .data = "x"})), "persistence.object");
  EXPECT_EQ(Outcome(Begin(ObjectFinish{.stream = first})), "stream_gone");
  EXPECT_TRUE(RunUntil(loop, [&] { return Files().empty(); }));
  EXPECT_EQ(Write(Pattern(200000)), "done") << "nothing is held for them any more";
  EXPECT_EQ(answers.refused, (std::vector<std::string>{"persistence.bytes", "persistence.object"}));
}

TEST_F(PersistenceServiceTest, ComingNearToAQuotaIsSaid) {
  origin.quota.persistence.bytes_max = Bytes{1000};
  Write(Pattern(799));
  EXPECT_TRUE(answers.near.empty());
  Write("x");
  EXPECT_EQ(answers.near, std::vector<std::string>{"persistence.bytes"});
}

TEST_F(PersistenceServiceTest, WritesASecondAreMetered) {
  origin.quota.persistence.writes_rate = 3;
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(Write(std::to_string(i)), "done");
  EXPECT_EQ(Write("3"), "persistence.writes");
  EXPECT_EQ(Outcome(Begin(ObjectBegin{})), "persistence.writes");
  EXPECT_EQ(Outcome(Begin(NameDelete{.name = "n", .with_object = 0})), "persistence.writes");
  EXPECT_EQ(Read("0", origin), "0") << "reading is no writing";
  clock.Advance(Seconds(1));
  EXPECT_EQ(Write("3"), "done");
}

TEST_F(PersistenceServiceTest, ACheckLeavesNothing) {
  Write("below");
  CallOrigin check = origin;
  check.overlay = 5;
  EXPECT_EQ(Read("below", check), "below");
  EXPECT_EQ(Outcome(Begin(ObjectWrite{.data = "above"}, check)), "done");
  EXPECT_EQ(Outcome(Begin(ObjectWrite{.data = Pattern(500000)}, check)), "done");
  EXPECT_EQ(Read("above", check), "above");
  const std::uint64_t stream = Take<ObjectBeginResult>(Begin(ObjectBegin{}, check)).stream;
  for (int i = 0; i < 31; ++i)
    EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = stream, .data = Pattern(1 << 20)}, check)),
              "done");
  EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = stream, .data = Pattern((1 << 20) + 1)}, check)),
            "overlay_full");
  EXPECT_EQ(Read("above", origin), "nothing");
  EXPECT_TRUE(Files().empty());
  service->OnOverlayEnded(5);
  EXPECT_EQ(Read("above", check), "nothing");
  EXPECT_EQ(Totals(), (ObjectTotals{.bytes = 5, .objects = 1}));
}

// What is late must not bring back an overlay that nobody would end any more.
TEST_F(PersistenceServiceTest, AnOverlayThatHasEndedStaysSo) {
  CallOrigin check = origin;
  check.overlay = 5;
  const CallId call = Begin(ObjectWrite{.data = Pattern(1 << 20)}, check);
  service->OnOverlayEnded(5);
  EXPECT_EQ(Outcome(call), "storage_failed");
  bool asked = false;
  service->ReadPiece({.app = AppId{1}, .overlay = 5, .id = Sha256Of(Pattern(1 << 20)), .count = 1},
                     [&](const Result<ObjectPiece>& piece) {
                       asked = true;
                       EXPECT_EQ(piece.value().state, ObjectPiece::State::kMissing);
                     });
  EXPECT_TRUE(RunUntil(loop, [&] { return asked; }));
}

TEST_F(PersistenceServiceTest, WhatTheLiveReleaseWritesIsNotCountedForACheck) {
  const std::uint64_t live = BeginStream();
  for (int i = 0; i < 40; ++i)
    EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = live, .data = Pattern(1 << 20)})), "done");
  CallOrigin check = origin;
  check.overlay = 5;
  const std::uint64_t stream = Take<ObjectBeginResult>(Begin(ObjectBegin{}, check)).stream;
  EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = stream, .data = Pattern(1 << 20)}, check)),
            "done");
}

TEST_F(PersistenceServiceTest, WhatNoWorkerSendsIsRefused) {
  const auto refused = [&](const auto& args) {
    std::string bytes;
    EncodeFields(args, bytes);
    return !service->Serve(++last_call, origin, args.kNumber, bytes).ok();
  };
  const std::string id(32, 'a');
  const std::string long_name(1025, 'n');
  EXPECT_TRUE(refused(ObjectRead{.id = "short", .offset = 0, .count = 1}));
  EXPECT_TRUE(refused(ObjectStat{.id = ""}));
  EXPECT_TRUE(refused(ObjectDelete{.id = std::string_view(long_name)}));
  EXPECT_TRUE(refused(NameGet{.name = ""}));
  EXPECT_TRUE(refused(NameGet{.name = std::string_view(long_name)}));
  EXPECT_TRUE(refused(NameGet{.name = "\xff"}));
  EXPECT_TRUE(refused(NameDelete{.name = "n", .with_object = 2}));
  EXPECT_TRUE(refused(NamePut{.name = "n", .id = id, .condition = 2, .expected = {}}));
  EXPECT_TRUE(refused(NamePut{.name = "n", .id = id, .condition = 1, .expected = "x"}));
  EXPECT_TRUE(refused(NameList{.prefix = std::string_view(long_name), .after = "", .limit = 1}));
  EXPECT_TRUE(refused(ObjectList{.after = "x", .limit = 1}));
  EXPECT_FALSE(service->Serve(++last_call, origin, CallNumber::kObjectWrite, "\x05").ok());
  RunFor(loop, Millis(10));
  EXPECT_TRUE(answers.replies.empty());
}

TEST_F(PersistenceServiceTest, ExtremesOfNumbersAreNoHarm) {
  Write(Pattern(200000));
  const Sha256 id = Sha256Of(Pattern(200000));
  for (const std::uint64_t offset :
       {std::uint64_t{199999}, std::uint64_t{200000}, ~std::uint64_t{0}}) {
    const ObjectReadResult read = Take<ObjectReadResult>(
        Begin(ObjectRead{.id = id.view(), .offset = offset, .count = ~std::uint32_t{0}}));
    EXPECT_EQ(read.data.value_or("nothing").size(), offset == 199999 ? 1U : 0U);
    EXPECT_EQ(read.size, 200000U);
  }
  EXPECT_EQ(
      Take<ObjectListResult>(Begin(ObjectList{.after = {}, .limit = ~std::uint32_t{0}})).ids.size(),
      1U);
  EXPECT_EQ(Take<ObjectListResult>(Begin(ObjectList{.after = {}, .limit = 0})).ids.size(), 1U);
}

TEST_F(PersistenceServiceTest, DamageIsSaidToTheAppAndFoundByAVerification) {
  const std::string bytes = Pattern(300000);
  Write(bytes);
  Write("sound");
  ASSERT_EQ(::truncate(Files().at(0).c_str(), 5), 0);
  const Sha256 id = Sha256Of(bytes);
  EXPECT_EQ(Outcome(Begin(ObjectRead{.id = id.view(), .offset = 0, .count = 1})), "object_damaged");
  EXPECT_EQ(Read("sound", origin), "sound");
  std::optional<ObjectVerification> report;
  service->Verify(AppId{1}, [&](Result<ObjectVerification> done) { report = done.value(); });
  ASSERT_TRUE(RunUntil(loop, [&] { return report.has_value(); }));
  const ObjectVerification found = report.value_or(ObjectVerification());
  EXPECT_EQ(found.objects, 2U);
  ASSERT_EQ(found.damages, 1U);
  EXPECT_EQ(found.found[0].id, id);
  EXPECT_EQ(found.found[0].what, "its file has 5 bytes instead of 300000");
}

TEST_F(PersistenceServiceTest, AnAppThatHasNothingIsAskedWithoutMakingAnything) {
  EXPECT_EQ(Totals(3), ObjectTotals{});
  std::optional<ObjectVerification> report;
  service->Verify(AppId{3}, [&](Result<ObjectVerification> done) { report = done.value(); });
  ASSERT_TRUE(RunUntil(loop, [&] { return report.has_value(); }));
  EXPECT_FALSE(std::filesystem::exists(dir.At("apps/3")));
}

TEST_F(PersistenceServiceTest, StoresThatAreNotUsedAreClosed) {
  const int apps = static_cast<int>(PersistenceService::kOpenMax) + 20;
  const auto open_files = [] {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd"))
      ++count;
    return count;
  };
  const std::size_t before = open_files();
  for (int app = 1; app <= apps; ++app) {
    CallOrigin whose = origin;
    whose.app = AppId{static_cast<std::uint64_t>(app)};
    EXPECT_EQ(Outcome(Begin(ObjectWrite{.data = "x"}, whose)), "done");
  }
  EXPECT_TRUE(RunUntil(
      loop, [&] { return open_files() - before <= 6 * PersistenceService::kOpenMax + 10; }));
  EXPECT_EQ(Read("x", origin), "x") << "it is opened again";
}

TEST_F(PersistenceServiceTest, ADeletedAppLeavesNothingOpen) {
  Write("x");
  const std::uint64_t stream = BeginStream();
  Outcome(Begin(ObjectAppend{.stream = stream, .data = Pattern(200000)}));
  // Its file is being written while the app goes.
  const CallId late = Begin(ObjectWrite{.data = Pattern(500000)});
  service->OnAppDeleted(AppId{1});
  bool closed = false;
  service->WhenClosed(AppId{1}, [&] { closed = true; });
  EXPECT_FALSE(closed) << "its stream has a file yet";
  EXPECT_TRUE(RunUntil(loop, [&] { return closed; }));
  EXPECT_TRUE(Files().empty());
  EXPECT_EQ(Outcome(late), "storage_failed");
  EXPECT_FALSE(std::filesystem::exists(dir.At("apps/1/objects.db-wal"))) << "SQLite has ended";
  std::filesystem::remove_all(dir.At("apps/1"));
  RunFor(loop, Millis(20));
  EXPECT_FALSE(std::filesystem::exists(dir.At("apps/1")));
}

TEST_F(PersistenceServiceTest, ADirectoryThatCannotBeMadeIsAFailureAndLaterNone) {
  dir.Write("apps/1", "a file where the directory should be");
  EXPECT_EQ(Write("x"), "storage_failed");
  EXPECT_EQ(Outcome(Begin(ObjectUsage{})), "storage_failed");
  std::filesystem::remove(dir.At("apps/1"));
  EXPECT_EQ(Write("x"), "done");
}

// --- a disk that is full

bool disk_full = false;

ssize_t WriteUnlessFull(int fd, const void* bytes, std::size_t size, off_t offset) {
  if (disk_full) {
    errno = ENOSPC;
    return -1;
  }
  return ::pwrite(fd, bytes, size, offset);
}

TEST_F(PersistenceServiceTest, AFullDiskChangesNothingAndIsSaid) {
  sqlite3_vfs* vfs = ::sqlite3_vfs_find(nullptr);
  const auto set = [vfs](sqlite3_syscall_ptr call) {
    for (const char* name : {"pwrite", "pwrite64"})
      EXPECT_EQ(vfs->xSetSystemCall(vfs, name, call), SQLITE_OK);
  };
  set(reinterpret_cast<sqlite3_syscall_ptr>(WriteUnlessFull));
  Write("before");
  disk_full = true;
  EXPECT_EQ(Write("small"), "disk_full");
  EXPECT_EQ(Write(Pattern(300000)), "disk_full");
  EXPECT_EQ(Outcome(Begin(ObjectDelete{.id = Sha256Of("before").view()})), "disk_full");
  EXPECT_EQ(Read("before", origin), "before");
  EXPECT_TRUE(Files().empty());
  disk_full = false;
  EXPECT_EQ(Totals(), (ObjectTotals{.bytes = 6, .objects = 1}));
  EXPECT_EQ(Write("small"), "done");
  EXPECT_EQ(Write(Pattern(300000)), "done");
  set(nullptr);
}

}  // namespace
}  // namespace cloister
