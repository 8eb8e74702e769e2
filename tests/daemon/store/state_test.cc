#include "daemon/store/state.h"

#include <gtest/gtest.h>

#include "tests/daemon/store/store_fixture.h"
#include "tests/support/run_until.h"

namespace cloister {
namespace {

class StateTest : public testing::Test {
 protected:
  void Open() {
    std::optional<Result<void>> opened;
    state_.Open([&](Result<void> result) { opened = std::move(result); });
    ASSERT_TRUE(RunUntil(loop_, [&] { return opened.has_value(); }));
    ASSERT_TRUE(opened->ok()) << opened->error().message;
  }
  void Close() {
    bool closed = false;
    state_.Close([&] { closed = true; });
    ASSERT_TRUE(RunUntil(loop_, [&] { return closed; }));
  }

  TempDir dir_;
  Loop loop_;
  State state_{loop_, dir_.path()};
};

Result<std::int64_t> CountTenants(Database& db) {
  Statement row = TRY(db.Prepare("SELECT count(*) FROM tenants"));
  TRY(row.Step());
  return row.Int(0);
}

Result<TenantRow> MakeTenant(Database& db) {
  return CreateTenant(db, "demo", {.who = "tester", .when = {}});
}

TEST_F(StateTest, WhatWasWrittenIsSeenByLaterReads) {
  Open();
  int seen = 0;
  state_.Write(1, MakeTenant, [&](const Result<TenantRow>& tenant) {
    ASSERT_TRUE(tenant.ok());
    const auto count = [&](const Result<std::int64_t>& found) {
      seen += found.ok() && found.value() == 1 ? 1 : 0;
    };
    state_.Read(2, CountTenants, count);
    state_.Bulk(3, CountTenants, count);
  });
  EXPECT_TRUE(RunUntil(loop_, [&] { return seen == 2; }));
}

TEST_F(StateTest, NothingWorksBeforeOpenAndAfterClose) {
  for (const bool opened : {false, true}) {
    if (opened) {
      Open();
      Close();
    }
    std::optional<Result<TenantRow>> tenant;
    state_.Write(1, MakeTenant, [&](Result<TenantRow> made) { tenant = std::move(made); });
    ASSERT_TRUE(RunUntil(loop_, [&] { return tenant.has_value(); }));
    EXPECT_EQ(tenant->error().code, ErrorCode::kUnavailable);
  }
}

// A node that drains has given the role of the writer away and still needs its images.
TEST_F(StateTest, WithoutItsWriterItStillReads) {
  Open();
  std::optional<Result<TenantRow>> tenant;
  state_.Write(1, MakeTenant, [&](Result<TenantRow> made) { tenant = std::move(made); });
  bool closed = false;
  state_.CloseWriter([&] { closed = true; });
  ASSERT_TRUE(RunUntil(loop_, [&] { return closed; }));
  ASSERT_TRUE(tenant && tenant->ok()) << "what was queued before is written";
  state_.Write(1, MakeTenant, [&](Result<TenantRow> made) { tenant = std::move(made); });
  int seen = 0;
  const auto count = [&](const Result<std::int64_t>& found) {
    seen += found.ok() && found.value() == 1 ? 1 : 0;
  };
  state_.Read(2, CountTenants, count);
  state_.Bulk(3, CountTenants, count);
  ASSERT_TRUE(RunUntil(loop_, [&] { return seen == 2 && !tenant->ok(); }));
  EXPECT_EQ(tenant->error().code, ErrorCode::kUnavailable);
  // The one who follows may write meanwhile.
  Database next = OpenState(state_.database_path());
  EXPECT_TRUE(CreateTenant(next, "other", {}).ok());
  Close();
}

TEST_F(StateTest, CloseWaitsForWhatIsQueuedOfEveryKey) {
  Open();
  int done = 0;
  for (std::uint64_t key = 0; key < 50; ++key)
    state_.Write(
        key % 7, [key](Database& db) { return CreateTenant(db, "t" + std::to_string(key), {}); },
        [&](const Result<TenantRow>& tenant) { done += tenant.ok() ? 1 : 0; });
  Close();
  EXPECT_EQ(done, 50);
  Database db = OpenState(state_.database_path());
  EXPECT_EQ(Must(ListTenants(db)).size(), 50U);
}

TEST_F(StateTest, AnotherProcessMayOpenWhatWasClosed) {
  Open();
  Close();
  EXPECT_FALSE(std::filesystem::exists(state_.database_path() + "-wal"));
  Open();
}

TEST_F(StateTest, ADirectoryThatIsNotThereIsAnError) {
  State nowhere(loop_, dir_.At("missing"));
  std::optional<Result<void>> opened;
  nowhere.Open([&](Result<void> result) { opened = std::move(result); });
  ASSERT_TRUE(RunUntil(loop_, [&] { return opened.has_value(); }));
  EXPECT_EQ(opened->error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace cloister
