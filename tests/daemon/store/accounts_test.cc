#include "daemon/store/accounts.h"

#include <gtest/gtest.h>

#include "daemon/store/audit.h"
#include "daemon/store/bytecode.h"
#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

using AccountsTest = StoreTest;

AppName Name(const char* text) {
  return Must(AppName::Parse(text));
}

TEST_F(AccountsTest, AnIdIsNeverUsedAgain) {
  Must(DeleteApp(db_, app_, At(1)));
  const AppRow again = Must(CreateApp(db_, tenant_, app_.name, At(2)));
  EXPECT_GT(again.id, app_.id);
  Must(DeleteTenant(db_, tenant_, At(3)));
  const TenantRow tenant = Must(CreateTenant(db_, "demo", At(4)));
  EXPECT_GT(tenant.id, tenant_.id);
  EXPECT_GT(Must(CreateApp(db_, tenant, app_.name, At(5))).id, again.id);
}

TEST_F(AccountsTest, ANameIsTakenWhileItIsInUse) {
  EXPECT_EQ(CreateTenant(db_, "demo", At(1)).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(CreateApp(db_, tenant_, app_.name, At(1)).error().code, ErrorCode::kAlreadyExists);
  const TenantRow other = Must(CreateTenant(db_, "other", At(1)));
  EXPECT_TRUE(CreateApp(db_, other, Name("other/hello"), At(1)).ok());
}

TEST_F(AccountsTest, ListsWhatIsThere) {
  Must(CreateApp(db_, tenant_, Name("demo/second"), At(1)));
  const std::vector<AppRow> apps = Must(ListApps(db_));
  ASSERT_EQ(apps.size(), 2U);
  EXPECT_EQ(apps[0].name, app_.name);
  EXPECT_EQ(apps[1].name.ToString(), "demo/second");
  EXPECT_EQ(apps[1].tenant, tenant_.id);
  EXPECT_EQ(apps[1].created_at, At(1).when);
  EXPECT_EQ(Must(ListTenants(db_)).size(), 1U);
}

TEST_F(AccountsTest, DeletingAnAppTakesAllOfItAndNothingElse) {
  Must(StoreContents(db_, tenant_, {ContentOf("kept for a day")}, At(0)));
  const AppRow neighbour = Must(CreateApp(db_, tenant_, Name("demo/neighbour"), At(0)));
  ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow rejected = ReleaseIn(ReleaseState::kReceived, "1.0.1");
  Must(RejectRelease(db_, rejected.id, {.code = "x"}, "demo/hello", At(0)));
  Must(StoreBytecode(db_, app_.id,
                     {{.name = {.sha256 = Sha256Of("a"), .path = "a.py"}, .code = "c"}}, "m"));
  Must(DeleteApp(db_, app_, At(1)));
  for (const char* table : {"releases", "release_files", "steps", "reports", "bytecode"})
    EXPECT_EQ(Count(db_, table), 0) << table;
  EXPECT_EQ(Must(ListApps(db_)).front().id, neighbour.id);
  EXPECT_EQ(Count(db_, "contents"), 1);
  EXPECT_EQ(DeleteApp(db_, app_, At(2)).error().code, ErrorCode::kNotFound);
}

TEST_F(AccountsTest, DeletingATenantTakesItsContents) {
  const TenantRow other = Must(CreateTenant(db_, "other", At(0)));
  Must(StoreContents(db_, tenant_, {ContentOf("a")}, At(0)));
  Must(StoreContents(db_, other, {ContentOf("a")}, At(0)));
  Must(DeleteTenant(db_, tenant_, At(1)));
  EXPECT_EQ(Count(db_, "contents"), 1);
  EXPECT_EQ(Count(db_, "apps"), 0);
  EXPECT_EQ(DeleteTenant(db_, tenant_, At(2)).error().code, ErrorCode::kNotFound);
}

TEST_F(AccountsTest, EachChangeHasItsAuditRowAndAFailedOneHasNone) {
  ASSERT_FALSE(CreateTenant(db_, "demo", At(1)).ok());
  Must(DeleteApp(db_, app_, At(2)));
  ASSERT_FALSE(DeleteApp(db_, app_, At(3)).ok());
  const std::vector<AuditRow> audit = Must(ListAudit(db_, 10));
  ASSERT_EQ(audit.size(), 3U);
  EXPECT_EQ(audit[0].action, "tenant_created");
  EXPECT_EQ(audit[1].action, "app_created");
  EXPECT_EQ(audit[2].action, "app_deleted");
  EXPECT_EQ(audit[2].who, "tester");
  EXPECT_EQ(audit[2].subject, "demo/hello");
  EXPECT_EQ(audit[2].at, At(2).when);
}

}  // namespace
}  // namespace cloister
