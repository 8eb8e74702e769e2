#include "daemon/store/snapshot_rows.h"

#include <gtest/gtest.h>

#include "daemon/store/accounts.h"
#include "daemon/store/release_rows.h"
#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

class SnapshotRowsTest : public StoreTest {
 protected:
  std::uint64_t Current() { return Must(ListApps(db_)).front().data; }
  void Add(const ReleaseRow& release, std::uint64_t number, std::int64_t second) {
    Must(AddSnapshot(db_, app_.id,
                     {.number = number,
                      .release = release.id,
                      .version = release.version,
                      .taken_at = At(second).when,
                      .reason = "a test"}));
  }
};

TEST_F(SnapshotRowsTest, ANumberIsGivenOnce) {
  EXPECT_EQ(1U, Must(TakeDataNumber(db_, app_.id)).next);
  EXPECT_EQ(2U, Must(TakeDataNumber(db_, app_.id)).next);
  EXPECT_EQ(0U, Must(TakeDataNumber(db_, app_.id)).current);
  EXPECT_EQ(ErrorCode::kNotFound, TakeDataNumber(db_, {999}).error().code);
}

TEST_F(SnapshotRowsTest, ARollbackWithDataReplacesTheDatabaseWhichBecomesASnapshot) {
  const ReleaseRow first = ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow second = ReleaseIn(ReleaseState::kChecked, "1.1.0");
  Must(GoLive(db_, second.id, 0, "", At(1)));
  Along along(0);
  along.data = {.data = 7, .reason = "gone back"};
  Must(GoLive(db_, first.id, along, "", At(2)));
  EXPECT_EQ(7U, Current());
  const SnapshotRow replaced = Must(FindSnapshot(db_, second.id)).value();
  EXPECT_EQ(0U, replaced.number);
  EXPECT_EQ("1.1.0", replaced.version);
  EXPECT_EQ("gone back", replaced.reason);
  EXPECT_FALSE(Must(FindSnapshot(db_, first.id)));
  EXPECT_EQ((std::vector<std::uint64_t>{7, 0}), Must(ListData(db_, app_.id)));
}

TEST_F(SnapshotRowsTest, TheNewestStayAndThoseOfReleasesThatAreThere) {
  const ReleaseRow release = ReleaseIn(ReleaseState::kLive, "1.0.0");
  for (std::uint64_t number = 1; number <= 4; ++number)
    Add(release, number, static_cast<std::int64_t>(number));
  ReleaseRow gone;
  gone.id = {999};
  Add(gone, 5, 9);
  Must(PruneSnapshots(db_, app_.id, 2));
  const std::vector<SnapshotRow> left = Must(ListSnapshots(db_, app_.id));
  ASSERT_EQ(2U, left.size());
  EXPECT_EQ(4U, left[0].number);
  EXPECT_EQ(3U, left[1].number);
  EXPECT_EQ(4U, Must(FindSnapshot(db_, release.id)).value().number);
}

TEST_F(SnapshotRowsTest, TheyGoWithTheApp) {
  Add(ReleaseIn(ReleaseState::kLive, "1.0.0"), 1, 1);
  Must(DeleteApp(db_, app_, At(2)));
  EXPECT_EQ(0, Count(db_, "snapshots"));
}

}  // namespace
}  // namespace cloister
