#include "daemon/store/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/store/audit.h"
#include "daemon/store/bytecode.h"
#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RetentionTest : public StoreTest {
 protected:
  // A release that settled in `state` at that second.
  ReleaseRow Settled(const std::string& version, std::string_view state, std::int64_t second,
                     std::vector<ReleaseFile> files = {}) {
    NewRelease release = Release(version, std::move(files));
    const ReleaseRow row = Must(CreateRelease(db_, release, At(second)));
    const bool once_live = state != "rejected" && state != "received";
    Must(
        db_.Run("UPDATE releases SET state = ?1, went_live_at = ?2, live_sequence = ?2, live = ?3 "
                "WHERE id = ?4",
                state, once_live ? std::optional<std::int64_t>(second) : std::nullopt,
                state == "live" ? 1 : 0, row.id.number));
    return row;
  }
  std::vector<std::string> Versions() {
    Statement rows = Must(db_.Query("SELECT version FROM releases ORDER BY id"));
    std::vector<std::string> versions;
    while (Must(rows.Step()))
      versions.emplace_back(rows.Text(0));
    return versions;
  }
  // All that go; how many.
  std::uint64_t Collect(const KeepPolicy& policy) {
    std::uint64_t all = 0;
    while (const std::uint64_t some = Must(CollectReleases(db_, app_, policy, At(100))))
      all += some;
    return all;
  }
};

TEST_F(RetentionTest, TooManyOfAKindGoTheOldestFirst) {
  for (const int second : {3, 1, 4, 2, 5})
    Settled(std::to_string(second), "kept", second);
  EXPECT_EQ(Must(CollectReleases(db_, app_, {.kept_max = 2}, At(9), {.releases = 1})), 1U);
  EXPECT_THAT(Versions(), ElementsAre("3", "4", "2", "5"));
  EXPECT_EQ(Collect({.kept_max = 2}), 2U);
  EXPECT_THAT(Versions(), ElementsAre("4", "5"));
  EXPECT_EQ(Collect({.kept_max = 2}), 0U);
}

TEST_F(RetentionTest, RejectedOnesDoNotPushKeptOnesOut) {
  Settled("1", "kept", 1);
  Settled("2", "kept", 2);
  for (const int second : {3, 4, 5})
    Settled(std::to_string(second), "rejected", second);
  EXPECT_EQ(Collect({.kept_max = 2}), 1U);
  EXPECT_THAT(Versions(), ElementsAre("1", "2", "4", "5"));
}

TEST_F(RetentionTest, TooOldOnesGo) {
  Settled("1", "kept", 1);
  Settled("2", "rejected", 2);
  Settled("3", "kept", 3);
  Settled("4", "kept", 4);
  EXPECT_EQ(Collect({.before = At(3).when}), 2U);
  EXPECT_THAT(Versions(), ElementsAre("3", "4"));
}

TEST_F(RetentionTest, TheAgeIsThatOfTheEndOfServing) {
  const ReleaseRow old = Settled("1", "kept", 1);
  Settled("2", "kept", 2);
  Settled("3", "kept", 3);
  Must(StartStep(db_, old.id, "draining", At(3).when));
  EXPECT_EQ(Collect({.kept_max = 0, .before = At(50).when}), 1U) << "1 is at something";
  Must(
      db_.Run("UPDATE steps SET ended_at = ?, outcome = 'done' WHERE release_id = ? AND "
              "name = 'draining'",
              ToColumn(At(9).when), old.id.number));
  Settled("2.1", "kept", 2);
  EXPECT_EQ(Collect({.kept_max = 2}), 1U);
  EXPECT_THAT(Versions(), ElementsAre("1", "3"));
}

TEST_F(RetentionTest, WhatServesOrServedLastNeverGoes) {
  Settled("1", "kept", 1);
  Settled("2", "kept", 2);
  Settled("3", "draining", 3);
  Settled("4", "live", 4);
  Settled("5", "received", 5);
  EXPECT_EQ(Collect({.kept_max = 0, .before = At(50).when}), 1U);
  EXPECT_THAT(Versions(), ElementsAre("2", "3", "4", "5"));
}

TEST_F(RetentionTest, PinnedOnesStayAndDoNotCount) {
  for (const int second : {1, 2, 3, 4})
    Settled(std::to_string(second), "kept", second);
  Must(PinVersion(db_, app_, "1", Pin::kSet, At(5)));
  Must(PinVersion(db_, app_, "2", Pin::kSet, At(5)));
  EXPECT_TRUE(Must(ListVersion(db_, app_.id, "1")).front().pinned);
  EXPECT_EQ(Collect({.kept_max = 1, .before = At(50).when}), 1U);
  EXPECT_THAT(Versions(), ElementsAre("1", "2", "4"));
  Must(PinVersion(db_, app_, "1", Pin::kUnset, At(6)));
  EXPECT_EQ(Collect({.kept_max = 1}), 1U);
  EXPECT_THAT(Versions(), ElementsAre("2", "4"));
  EXPECT_EQ(PinVersion(db_, app_, "1", Pin::kSet, At(7)).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Count(db_, "audit WHERE action = 'release_pinned' AND subject LIKE 'demo/hello@_'"), 2);
  EXPECT_EQ(Count(db_, "audit WHERE action = 'release_unpinned' AND subject = 'demo/hello@1'"), 1);
}

TEST_F(RetentionTest, WhatHangsOnAReleaseGoesAndWhatOthersNeedStays) {
  const ReleaseFile own = FileOf("own.py", "own");
  const ReleaseFile shared = FileOf("shared.py", "shared");
  Must(StoreContents(db_, tenant_, {ContentOf("own"), ContentOf("shared")}, At(0)));
  const ReleaseFile moved = FileOf("before.py", "moved");
  const ReleaseRow old = Settled("1", "kept", 1, {own, shared, moved});
  // The same content at another path is another module.
  Settled("2", "kept", 2, {shared, FileOf("moved.py", "moved")});
  for (const ReleaseFile& file : {own, shared, moved})
    Must(StoreBytecode(db_, app_.id,
                       {{.name = {.sha256 = file.sha256, .path = file.path}, .code = "code"}},
                       "311"));
  Must(db_.Run("INSERT INTO reports VALUES (?, 'code', '', '', 0, '', '')", old.id.number));
  EXPECT_EQ(Collect({.kept_max = 1}), 1U);
  const std::string of_old = " WHERE release_id = " + std::to_string(old.id.number);
  for (const std::string table : {"release_files", "steps", "reports"})
    EXPECT_EQ(Count(db_, table + of_old), 0) << table;
  EXPECT_EQ(Count(db_, "bytecode WHERE path IN ('own.py', 'before.py')"), 0);
  EXPECT_EQ(Count(db_, "bytecode WHERE path = 'shared.py'"), 1);
  EXPECT_EQ(Must(SweepContents(db_, At(1).when, 10)), 1U) << "the sweep sees what is free";
  EXPECT_TRUE(LoadContent(db_, tenant_.id, shared.sha256).ok());
  EXPECT_EQ(Count(db_,
                  "audit WHERE action = 'release_collected' AND subject = 'demo/hello@1' "
                  "AND who = 'tester'"),
            1);
}

TEST_F(RetentionTest, WhatWasOnceLiveIsRemembered) {
  const ReleaseRow one = Settled("1", "kept", 1);
  Settled("2", "rejected", 2);
  Settled("3", "kept", 3);
  EXPECT_EQ(Collect({.kept_max = 0}), 2U);
  const std::vector<CollectedRow> collected = Must(ListCollected(db_, app_.id, 10));
  ASSERT_EQ(collected.size(), 1U);
  EXPECT_EQ(collected[0].id, one.id);
  EXPECT_EQ(collected[0].version, "1");
  EXPECT_EQ(collected[0].digest, one.digest);
  EXPECT_EQ(collected[0].created_at, At(1).when);
  EXPECT_EQ(collected[0].collected_at, At(100).when);
  EXPECT_EQ(Must(ListCollectedVersion(db_, app_.id, "1")).size(), 1U);
  EXPECT_THAT(Must(ListCollectedVersion(db_, app_.id, "2")), IsEmpty());
  EXPECT_THAT(Must(ListTakenVersions(db_, app_.id)), ElementsAre("1", "3"));
  Must(DeleteApp(db_, app_, At(200)));
  EXPECT_EQ(Count(db_, "collected_releases"), 0);
}

TEST_F(RetentionTest, AnotherAppsReleasesAreNotTouched) {
  Settled("1", "kept", 1);
  Settled("2", "kept", 2);
  const AppRow other = Must(CreateApp(db_, tenant_, Must(AppName::Parse("demo/other")), At(0)));
  EXPECT_EQ(Must(CollectReleases(db_, other, {.kept_max = 0}, At(9))), 0U);
  EXPECT_THAT(Versions(), ElementsAre("1", "2"));
}

TEST_F(RetentionTest, TenThousandGoInSlices) {
  Must(db_.Execute("PRAGMA synchronous=OFF"));
  std::vector<Bytecode> codes;
  for (int i = 0; i < 10'000; ++i) {
    codes.push_back(
        {.name = {.sha256 = Sha256Of(std::to_string(i)), .path = "version.py"}, .code = "code"});
    Settled(std::to_string(i), i % 2 == 0 ? "kept" : "rejected", i,
            {FileOf("main.py", "main"), FileOf("version.py", std::to_string(i))});
  }
  codes.push_back({.name = {.sha256 = Sha256Of("main"), .path = "main.py"}, .code = "code"});
  Must(StoreBytecode(db_, app_.id, codes, "311"));
  const CollectBounds bounds;
  std::uint64_t all = 0;
  while (const std::uint64_t some = Must(CollectReleases(db_, app_, {.kept_max = 100}, At(9)))) {
    ASSERT_LE(some, bounds.releases);
    all += some;
  }
  EXPECT_EQ(all, 9'800U);
  EXPECT_EQ(Count(db_, "releases"), 200);
  EXPECT_EQ(Count(db_, "release_files"), 400);
  EXPECT_EQ(Count(db_, "bytecode"), 201);
  EXPECT_EQ(Count(db_, "collected_releases"), 4'900);
}

TEST_F(RetentionTest, ASliceIsBoundedByFilesToo) {
  std::vector<ReleaseFile> files;
  for (int i = 0; i < 3; ++i)
    files.push_back(FileOf("f" + std::to_string(i), std::to_string(i)));
  for (const int second : {1, 2, 3, 4, 5})
    Settled(std::to_string(second), "rejected", second, files);
  const CollectBounds bounds{.releases = 50, .files = 4};
  EXPECT_EQ(Must(CollectReleases(db_, app_, {.kept_max = 0}, At(9), bounds)), 2U);
  EXPECT_EQ(Must(CollectReleases(db_, app_, {.kept_max = 0}, At(9), {.files = 1})), 1U);
}

}  // namespace
}  // namespace cloister
