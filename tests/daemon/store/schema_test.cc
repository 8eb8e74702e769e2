#include "daemon/store/schema.h"

#include <gtest/gtest.h>

#include "daemon/store/bytecode.h"
#include "daemon/store/seals.h"
#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

constexpr Migration kTwoVersions[] = {
    "CREATE TABLE t (i INTEGER); INSERT INTO t VALUES (42)",
    "ALTER TABLE t ADD COLUMN s TEXT NOT NULL DEFAULT 'added'",
};

TEST(SchemaTest, EveryOlderVersionBecomesTheNewest) {
  const std::span<const Migration> all = Migrations();
  for (std::size_t older = 0; older <= all.size(); ++older) {
    const TempDir dir;
    Database db = Must(Database::Open(dir.At("state.db"), {}));
    Must(Migrate(db, all.first(older)));
    EXPECT_EQ(Must(SchemaVersion(db)), older);
    Must(Migrate(db));
    EXPECT_EQ(Must(SchemaVersion(db)), all.size());
    EXPECT_EQ(Count(db, "apps"), 0);
  }
}

TEST(SchemaTest, AMigrationKeepsWhatIsThere) {
  const TempDir dir;
  Database db = Must(Database::Open(dir.At("state.db"), {}));
  const std::span<const Migration> two = kTwoVersions;
  Must(Migrate(db, two.first(1)));
  Must(Migrate(db, two));
  EXPECT_EQ(Must(SchemaVersion(db)), 2U);
  EXPECT_EQ(Count(db, "t WHERE i = 42 AND s = 'added'"), 1);
}

TEST(SchemaTest, AMigrationThatFailsLeavesTheOlderVersion) {
  const TempDir dir;
  Database db = Must(Database::Open(dir.At("state.db"), {}));
  constexpr Migration kBroken[] = {kTwoVersions[0],
                                   "INSERT INTO t VALUES (43); INSERT INTO missing VALUES (1)"};
  EXPECT_FALSE(Migrate(db, kBroken).ok());
  EXPECT_EQ(Must(SchemaVersion(db)), 1U);
  EXPECT_EQ(Count(db, "t"), 1);
}

TEST(SchemaTest, WhatFollowsTheSqlIsPartOfTheMigration) {
  const TempDir dir;
  Database db = Must(Database::Open(dir.At("state.db"), {}));
  constexpr Migration kFailing[] = {kTwoVersions[0],
                                    {"INSERT INTO t VALUES (43)", [](Database&) -> Result<void> {
                                       return Error{ErrorCode::kSystem, "cannot"};
                                     }}};
  EXPECT_FALSE(Migrate(db, kFailing).ok());
  EXPECT_EQ(Must(SchemaVersion(db)), 1U);
  EXPECT_EQ(Count(db, "t"), 1);
  constexpr Migration kWorking[] = {kTwoVersions[0],
                                    {"INSERT INTO t VALUES (43)", [](Database& inner) {
                                       return inner.Run("UPDATE t SET i = i + 100 WHERE i = 43");
                                     }}};
  Must(Migrate(db, kWorking));
  EXPECT_EQ(Must(SchemaVersion(db)), 2U);
  EXPECT_EQ(Count(db, "t WHERE i = 143"), 1);
}

TEST(SchemaTest, RowsOfTheFirstVersionAreSealed) {
  const TempDir dir;
  Database db = Must(Database::Open(dir.At("state.db"), {}));
  Must(Migrate(db, Migrations().first(1)));
  const BytecodeName name{.sha256 = Sha256Of("x"), .path = "a.py"};
  Must(
      db.Execute("INSERT INTO tenants VALUES (1, 'demo', 0);"
                 "INSERT INTO apps VALUES (1, 1, 'hello', 0);"
                 "INSERT INTO releases VALUES (1, 1, '1.0.0', 1, 'live', 1, 0, zeroblob(32), "
                 "'main:app', '', 268435456, 1073741824, 64, 1000, 30000, 0, 8, 256, 0)"));
  Must(db.Run("INSERT INTO bytecode (app_id, sha256, path, magic, code) VALUES (1, ?, ?, '311', ?)",
              Blob{name.sha256.view()}, name.path, Blob{Compress("code")}));
  Must(Migrate(db));
  EXPECT_EQ(Must(LoadBytecode(db, {1}, name, "311")), "code");
  const ReleaseRow release = Must(FindRelease(db, {1}));
  EXPECT_EQ(Must(FindRunSeal(db, {1})), SealOfRun(release.run));
}

TEST(SchemaTest, ANewerVersionIsRefusedAndLeftAsItIs) {
  const TempDir dir;
  Database db = Must(Database::Open(dir.At("state.db"), {}));
  Must(db.Execute("CREATE TABLE future (i INTEGER); PRAGMA user_version = 1000"));
  const Result<void> migrated = Migrate(db);
  ASSERT_FALSE(migrated.ok());
  EXPECT_EQ(migrated.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(migrated.error().message.find("newer"), std::string::npos);
  EXPECT_EQ(Must(SchemaVersion(db)), 1000U);
  EXPECT_EQ(Count(db, "sqlite_schema"), 1);
}

}  // namespace
}  // namespace cloister
