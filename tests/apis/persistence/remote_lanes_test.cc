// PersistenceService with a server of objects.

#include "tests/apis/persistence/fake_server.h"
#include "tests/apis/persistence/service_fixture.h"

namespace cloister {
namespace {

struct Server {
  FakeServer server;
  RemoteObjects remote_objects{server};
};

class RemoteLanesTest : private Server, public PersistenceServiceTest {
 protected:
  RemoteLanesTest() : PersistenceServiceTest(&remote_objects) {}
  // Also where a test ends early.
  void TearDown() override { server.SetHangs(false); }

  using Server::server;
  std::string OnlyKey() {
    const auto objects = server.objects();
    EXPECT_EQ(objects.size(), 1U);
    return objects.empty() ? std::string() : objects.begin()->first;
  }
  std::string ReadOutcome(const std::string& bytes) {
    return Outcome(Begin(ObjectRead{.id = Sha256Of(bytes).view(), .offset = 0, .count = 1 << 20}));
  }
  std::string Delete(const std::string& bytes) {
    return Outcome(Begin(ObjectDelete{.id = Sha256Of(bytes).view()}));
  }
  bool ServerHas(std::size_t count) {
    return RunUntil(loop, [&] { return server.objects().size() == count; });
  }
  // What the app's store has of uploads.
  std::size_t Uploads() {
    auto db = Database::Open(dir.At("apps/1/objects.db"), {});
    auto row = db.value().Prepare("SELECT count(*) FROM uploads");
    EXPECT_TRUE(row.value().Step().value());
    return row.value().UInt(0);
  }
  // What has failed is tried again after a while.
  void LetTimePass() { clock.Advance(Millis(60000)); }

  const std::string small = Pattern(5);
  const std::string large = Pattern(kObjectRowMax + 1);
};

TEST_F(RemoteLanesTest, LargeObjectsAreOnTheServerAndSmallOnesInTheStore) {
  EXPECT_EQ(Write(small), "done");
  EXPECT_TRUE(server.objects().empty());
  for (const std::string& bytes : {large, Pattern(1 << 20)}) {
    EXPECT_EQ(Write(bytes), "done");
    EXPECT_EQ(Read(bytes, origin), bytes);
  }
  EXPECT_EQ(Write(large), "done") << "it is there already";
  EXPECT_EQ(server.objects().size(), 2U);
  for (const auto& [key, bytes] : server.objects())
    EXPECT_TRUE(key.starts_with("1/")) << key;
  EXPECT_TRUE(RunUntil(loop, [&] { return Files().empty(); }));
  EXPECT_EQ(Totals().objects, 3U);
  EXPECT_EQ(Uploads(), 0U);
}

TEST_F(RemoteLanesTest, AStreamGoesToTheServerWhenItEnds) {
  const std::string bytes = Pattern(3 * kObjectChunk + 5);
  const std::uint64_t stream = BeginStream();
  for (std::size_t at = 0; at < bytes.size(); at += 1 << 20)
    EXPECT_EQ(Outcome(Begin(ObjectAppend{.stream = stream,
                                         .data = std::string_view(bytes).substr(at, 1 << 20)})),
              "done");
  EXPECT_TRUE(server.objects().empty());
  EXPECT_EQ(Take<ObjectFinishResult>(Begin(ObjectFinish{.stream = stream})).id,
            Sha256Of(bytes).view());
  EXPECT_EQ(server.objects()[OnlyKey()], bytes);
  const auto part = Take<ObjectReadResult>(
      Begin(ObjectRead{.id = Sha256Of(bytes).view(), .offset = kObjectChunk - 3, .count = 10}));
  EXPECT_EQ(part.data.value_or(""), bytes.substr(kObjectChunk - 3, 10));
  EXPECT_EQ(part.size, bytes.size());
  EXPECT_TRUE(RunUntil(loop, [&] { return Files().empty(); }));
}

TEST_F(RemoteLanesTest, AServerThatIsAwayIsSaidAndNothingIsKept) {
  server.SetAway(true);
  EXPECT_EQ(Write(large), "storage_unavailable");
  EXPECT_EQ(Write(small), "done");
  EXPECT_EQ(Totals().objects, 1U);
  EXPECT_TRUE(RunUntil(loop, [&] { return Files().empty(); }));
  server.SetAway(false);
  EXPECT_EQ(Write(large), "done");
  server.SetAway(true);
  EXPECT_EQ(ReadOutcome(large), "storage_unavailable");
  EXPECT_EQ(Outcome(Begin(ObjectStat{.id = Sha256Of(large).view()})), "done");
  server.SetAway(false);
  EXPECT_EQ(Read(large, origin), large);
}

TEST_F(RemoteLanesTest, WhatAServerCannotTakeNowLeavesNoNote) {
  EXPECT_EQ(Write(large), "done");
  server.SetHangs(true);
  server.SetKnown(true);
  EXPECT_EQ(Write(Pattern(kObjectRowMax + 2)), "storage_unavailable");
  EXPECT_EQ(Uploads(), 0U);
  EXPECT_EQ(Write(large), "done") << "it is there already";
  EXPECT_TRUE(RunUntil(loop, [&] { return Files().empty(); }));
  server.SetHangs(false);
}

TEST_F(RemoteLanesTest, WhatWasSentForNothingIsRemoved) {
  server.SetLoseAnswers(true);
  EXPECT_EQ(Write(large), "storage_unavailable");
  EXPECT_EQ(ReadOutcome(large), "done");  // as not there
  EXPECT_EQ(Totals().objects, 0U);
  EXPECT_TRUE(ServerHas(0));
  EXPECT_TRUE(RunUntil(loop, [&] { return Uploads() == 0; }));
}

TEST_F(RemoteLanesTest, WhatIsDeletedGoesFromTheServerEvenLater) {
  EXPECT_EQ(Write(large), "done");
  server.SetAway(true);
  EXPECT_EQ(Delete(large), "done");
  EXPECT_EQ(Totals().objects, 0U);
  EXPECT_EQ(Write(small), "done");
  EXPECT_EQ(server.objects().size(), 1U);
  server.SetAway(false);
  // The same bytes again, meanwhile: another key.
  EXPECT_EQ(Write(large), "done");
  LetTimePass();
  EXPECT_EQ(Read(large, origin), large);
  EXPECT_TRUE(ServerHas(1));
  EXPECT_EQ(server.objects()[OnlyKey()], large);
  EXPECT_EQ(ReadOutcome(large), "done");
}

TEST_F(RemoteLanesTest, OneThatIsNotRemovedKeepsNoOther) {
  std::vector<std::string> all;
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(Write(all.emplace_back(Pattern(kObjectRowMax + 1, i))), "done");
  const std::string kept = Sha256Of(all[3]).Hex();
  server.SetKept(kept);
  for (const std::string& bytes : all)
    EXPECT_EQ(Delete(bytes), "done");
  LetTimePass();
  EXPECT_EQ(Write(small), "done");
  EXPECT_TRUE(ServerHas(1));
  EXPECT_NE(OnlyKey().find(kept), std::string::npos);
  service->OnAppDeleted(AppId{1});
  bool closed = false;
  service->WhenClosed(AppId{1}, [&] { closed = true; });
  EXPECT_TRUE(RunUntil(loop, [&] { return closed; }));
}

TEST_F(RemoteLanesTest, AServerThatRemovesNothingIsNotFilled) {
  origin.quota.persistence.bytes_max = Bytes{large.size() * 2 + 4096};
  server.SetKept("");
  int written = 0;
  std::string bytes;
  while (written < 20 && Write(bytes = Pattern(large.size(), written)) == "done") {
    ++written;
    EXPECT_EQ(Delete(bytes), "done");
  }
  EXPECT_EQ(written, 3);
  EXPECT_EQ(Write(bytes), "storage_unavailable");
  EXPECT_EQ(Write(small), "done");
  server.SetKept(std::nullopt);
  LetTimePass();
  EXPECT_EQ(Read(small, origin), small);
  EXPECT_TRUE(ServerHas(0));
  EXPECT_EQ(Write(bytes), "done");
}

TEST_F(RemoteLanesTest, AServerThatHangsHoldsNobodyElse) {
  EXPECT_EQ(Write(small), "done");
  server.SetHangs(true);
  const CallId stuck = Begin(ObjectWrite{.data = large});
  ASSERT_TRUE(RunUntil(loop, [&] { return server.waiting() == 1; }));
  EXPECT_EQ(Read(small, origin), small);
  EXPECT_EQ(Write("another"), "done");
  EXPECT_EQ(Outcome(Begin(ObjectUsage{})), "done");
  EXPECT_FALSE(answers.replies.contains(stuck));
  server.SetHangs(false);
  EXPECT_EQ(Outcome(stuck), "done");
  EXPECT_EQ(Read(large, origin), large);
}

TEST_F(RemoteLanesTest, WhatIsUnderWayCountsForTheQuota) {
  origin.quota.persistence.bytes_max = Bytes{large.size() + 10};
  EXPECT_EQ(Write(small), "done");
  server.SetHangs(true);
  const CallId first = Begin(ObjectWrite{.data = large});
  ASSERT_TRUE(RunUntil(loop, [&] { return server.waiting() == 1; }));
  EXPECT_EQ(Write(Pattern(large.size(), 1)), "persistence.bytes");
  server.SetHangs(false);
  EXPECT_EQ(Outcome(first), "done");
  EXPECT_EQ(server.objects().size(), 1U) << "what was refused was not sent";
}

TEST_F(RemoteLanesTest, TheSameTwiceAtOneTimeIsKeptOnce) {
  server.SetHangs(true);
  const CallId one = Begin(ObjectWrite{.data = large});
  const CallId two = Begin(ObjectWrite{.data = large});
  // They wait for one another's turn, or side by side.
  ASSERT_TRUE(RunUntil(loop, [&] { return server.waiting() == 2; }));
  server.SetHangs(false);
  EXPECT_EQ(Outcome(one), "done");
  EXPECT_EQ(Outcome(two), "done");
  EXPECT_EQ(Totals().objects, 1U);
  EXPECT_TRUE(ServerHas(1));
  EXPECT_EQ(Read(large, origin), large);
  EXPECT_TRUE(RunUntil(loop, [&] { return Uploads() == 0; }));
}

TEST_F(RemoteLanesTest, DamageIsSaidToTheAppAndFoundByAVerification) {
  EXPECT_EQ(Write(large), "done");
  EXPECT_EQ(Write(small), "done");
  std::string changed = large;
  changed[70000] ^= 1;
  server.Set(OnlyKey(), changed);
  EXPECT_EQ(ReadOutcome(large), "object_damaged");
  EXPECT_EQ(Read(small, origin), small);
  std::optional<ObjectVerification> report;
  service->Verify(AppId{1}, [&](Result<ObjectVerification> done) { report = done.value(); });
  ASSERT_TRUE(RunUntil(loop, [&] { return report.has_value(); }));
  const ObjectVerification found = report.value_or(ObjectVerification());
  EXPECT_EQ(found.objects, 2U);
  ASSERT_EQ(found.damages, 1U);
  EXPECT_EQ(found.found[0].id, Sha256Of(large));
  // What cannot be read is not called damaged.
  server.SetAway(true);
  std::optional<ErrorCode> failed;
  service->Verify(AppId{1}, [&](Result<ObjectVerification> done) {
    failed = done.ok() ? ErrorCode::kSystem : done.error().code;
  });
  ASSERT_TRUE(RunUntil(loop, [&] { return failed.has_value(); }));
  EXPECT_EQ(failed, ErrorCode::kUnavailable);
}

TEST_F(RemoteLanesTest, WhatAProcessThatDiedHasLeftIsSwept) {
  EXPECT_EQ(Write(small), "done");
  server.SetLoseAnswers(true);
  server.SetHangs(true);
  const CallId late = Begin(ObjectWrite{.data = large});
  ASSERT_TRUE(RunUntil(loop, [&] { return server.waiting() == 1; }));
  // As a new process finds it, which begins while the former one has something under way.
  EXPECT_EQ(Uploads(), 1U);
  {
    auto store = ObjectStore::Open(dir.At("apps/1"), ObjectStore::Use::kWrite).value();
    ASSERT_TRUE(store->Begin().ok());
    EXPECT_TRUE(store->LeftOnServer(10).value().empty()) << "it is being sent";
    ASSERT_TRUE(store->Commit().ok());
  }
  server.SetHangs(false);
  EXPECT_EQ(Outcome(late), "storage_unavailable");
  EXPECT_TRUE(ServerHas(0));
}

TEST_F(RemoteLanesTest, ADeletedAppLeavesNothingOnTheServer) {
  for (int i = 0; i < 70; ++i)
    EXPECT_EQ(Write(Pattern(kObjectRowMax + 1, i)), "done");
  CallOrigin other = origin;
  other.app = AppId{2};
  EXPECT_EQ(Outcome(Begin(ObjectWrite{.data = large}, other)), "done");
  service->OnAppDeleted(AppId{1});
  bool closed = false;
  service->WhenClosed(AppId{1}, [&] { closed = true; });
  EXPECT_TRUE(RunUntil(loop, [&] { return closed; }));
  EXPECT_TRUE(OnlyKey().starts_with("2/"));
}

TEST_F(RemoteLanesTest, AServerThatIsAwayDoesNotKeepADeletedApp) {
  EXPECT_EQ(Write(large), "done");
  server.SetAway(true);
  service->OnAppDeleted(AppId{1});
  bool closed = false;
  service->WhenClosed(AppId{1}, [&] { closed = true; });
  EXPECT_TRUE(RunUntil(loop, [&] { return closed; }));
}

TEST_F(RemoteLanesTest, FilesFromBeforeAreReadAndWithoutAServerOnlyTheyAre) {
  EXPECT_EQ(Write(large), "done");
  remote = nullptr;
  Start();
  EXPECT_EQ(ReadOutcome(large), "storage_unavailable");
  const std::string in_file = Pattern(kObjectRowMax + 1, 1);
  EXPECT_EQ(Write(in_file), "done");
  EXPECT_EQ(Read(in_file, origin), in_file);
  EXPECT_EQ(Files().size(), 1U);
}

TEST_F(RemoteLanesTest, ACheckReadsWhatIsOnTheServer) {
  EXPECT_EQ(Write(large), "done");
  CallOrigin check = origin;
  check.overlay = 3;
  EXPECT_EQ(Read(large, check), large);
  EXPECT_EQ(Outcome(Begin(ObjectWrite{.data = Pattern(1 << 20, 9)}, check)), "done");
  EXPECT_EQ(server.objects().size(), 1U);
  service->OnOverlayEnded(3);
}

TEST_F(RemoteLanesTest, WhatAnOperatorKeepsGoesThereToo) {
  std::optional<ObjectKept> kept;
  const auto keep = [&](const std::string& bytes, const PersistenceQuota& quota) {
    kept.reset();
    service->Keep(AppId{1},
                  {.fill = [&bytes](ObjectWriter& writer) { return writer.Append(bytes); },
                   .name = "n",
                   .quota = quota},
                  [&](Result<ObjectKept> done) { kept = done.value(); });
    EXPECT_TRUE(RunUntil(loop, [&] { return kept.has_value(); }));
    return kept.value_or(ObjectKept());
  };
  EXPECT_EQ(keep(large, {}).size, large.size());
  EXPECT_EQ(server.objects()[OnlyKey()], large);
  EXPECT_EQ(Take<NameGetResult>(Begin(NameGet{.name = "n"})).id, Sha256Of(large).view());
  EXPECT_FALSE(keep(large, {}).refused);
  const PersistenceQuota narrow{.bytes_max = Bytes{large.size() + 2000}};
  EXPECT_TRUE(keep(Pattern(kObjectRowMax + 1, 5), narrow).refused);
  EXPECT_EQ(server.objects().size(), 1U);
}

}  // namespace
}  // namespace cloister
