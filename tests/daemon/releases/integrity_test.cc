#include "daemon/releases/integrity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/store/release_rows.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What somebody does to the database behind the node's back, and the word that refuses it.
struct Tampering {
  const char* sql;
  const char* said;
};

constexpr Tampering kTamperings[] = {
    {"UPDATE release_files SET path = 'other.py' WHERE path = 'main.py'", "its list of files"},
    {"UPDATE release_files SET sha256 = (SELECT sha256 FROM release_files WHERE path = "
     "'static/logo.txt') WHERE path = 'main.py'",
     "its list of files"},
    {"UPDATE release_files SET size = size + 1 WHERE path = 'main.py'", "its list of files"},
    {"DELETE FROM release_files WHERE path = 'static/logo.txt'", "its list of files"},
    {"INSERT INTO release_files SELECT release_id, 'sitecustomize.py', sha256, size FROM "
     "release_files WHERE path = 'main.py'",
     "its list of files"},
    {"UPDATE releases SET digest = zeroblob(32)", "its list of files"},
    {"DELETE FROM audit WHERE action = 'release_created'", "the audit"},
    {"UPDATE audit SET detail = '00' WHERE action = 'release_created'", "the audit"},
    {"UPDATE releases SET version = '9.9.9'", "the audit"},
    {"UPDATE releases SET created_at = created_at + 1", "the audit"},
    {"UPDATE releases SET manifest = replace(manifest, 'hello', 'jello')",
     "'cloister.toml': the stored manifest"},
    {"UPDATE releases SET entry = 'os:system'", "'cloister.toml': the entry point"},
    {"UPDATE releases SET memory_max_bytes = memory_max_bytes * 2", "limits"},
    {"UPDATE releases SET address_space_max_bytes = address_space_max_bytes * 2", "limits"},
    {"UPDATE releases SET threads_max = threads_max + 1", "limits"},
    {"UPDATE releases SET cpu_millis = cpu_millis + 1", "limits"},
    {"UPDATE releases SET wall_max_ms = wall_max_ms + 1", "limits"},
    {"UPDATE releases SET workers_min = workers_min + 1", "limits"},
    {"UPDATE releases SET workers_max = workers_max + 1", "limits"},
    {"UPDATE releases SET queue_max = queue_max + 1", "limits"},
    {"UPDATE releases SET run_seal = x''", "limits"},
    {"UPDATE releases SET statics = '/s/' || char(9) || 'static/' || char(9) || '0' || char(10)",
     "limits"},
    {"UPDATE releases SET live = 0, state = 'canary', canary_percent = 99", "that serves"},
    {"DELETE FROM audit WHERE action = 'release_live'", "that serves"},
    {"UPDATE releases SET state = 'kept'", "that serves"},
    {"UPDATE bytecode SET code = (SELECT compressed FROM contents LIMIT 1)",
     "'main.py': its bytecode is damaged"},
    {"UPDATE bytecode SET seal = zeroblob(32)", "'main.py': its bytecode is damaged"},
    {"UPDATE contents SET compressed = (SELECT compressed FROM contents LIMIT 1 OFFSET 1)",
     "damaged"},
    {"DELETE FROM contents", "is not there"},
};

class IntegrityTest : public NodeTest {
 protected:
  // A node that was killed after it had deployed a release.
  void Deployed() {
    StartWithApp();
    release = Deploy(HelloFiles("1.0.0")).value().release.id;
    Crash();
  }
  void Tamper(const std::string& sql) {
    Database db = std::move(Database::Open(dir.At("state.db"), {})).value();
    ASSERT_TRUE(db.Execute("PRAGMA foreign_keys=OFF;" + sql).ok()) << sql;
    ASSERT_GT(db.changes(), 0U) << "it changed nothing: " << sql;
  }
  // Empty when the image can be built.
  std::string RefusalOfImage() {
    std::optional<std::string> refusal;
    images->LoadImage(release, [&](const Result<std::shared_ptr<const UniqueFd>>& image) {
      refusal = image.ok() ? "" : image.error().message;
    });
    EXPECT_TRUE(RunUntil(loop, [&] { return refusal.has_value(); }));
    return *refusal;
  }

  ReleaseId release;
};

TEST_F(IntegrityTest, WhatWasNotTouchedFits) {
  Deployed();
  Start();
  EXPECT_EQ(RefusalOfImage(), "");
  Database db = std::move(Database::Open(dir.At("state.db"), {})).value();
  const ReleaseRow row = std::move(FindRelease(db, release)).value();
  EXPECT_THAT(FindRowDamage(db, row).value(), IsEmpty());
  EXPECT_TRUE(CheckRows(db, row).ok());
}

TEST_F(IntegrityTest, AnotherReleaseThatServesIsNamed) {
  StartWithApp();
  const ReleaseId first = Deploy(HelloFiles("1.0.0")).value().release.id;
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  Crash();
  Tamper(
      "UPDATE releases SET live = 0, state = 'kept' WHERE version = '2.0.0';"
      "UPDATE releases SET live = 1, state = 'live' WHERE version = '1.0.0'");
  release = first;
  Start();
  EXPECT_THAT(RefusalOfImage(), HasSubstr("that serves"));
}

// Whatever a row says, the node starts and the other apps are served.
TEST_F(IntegrityTest, ARowThatMakesNoSenseHarmsNoOther) {
  StartWithApp();
  release = Deploy(HelloFiles("1.0.0")).value().release.id;
  ASSERT_TRUE(CreateApp("demo", "other").ok());
  for (const char* sql :
       {"UPDATE releases SET app_id = 99", "UPDATE releases SET workers_min = -5",
        "UPDATE releases SET resume = 1", "UPDATE contents SET size = 1099511627776"}) {
    SCOPED_TRACE(sql);
    Crash();
    Tamper(sql);
    Start();
    EXPECT_TRUE(releases->catalog().FindApp(std::move(AppName::Parse("demo/other")).value()));
    EXPECT_NE(RefusalOfImage(), "") << "and it is refused";
    for (const ReleaseSpec& spec : workers->adopted_specs)
      EXPECT_LE(spec.workers_min, spec.workers_max);
  }
}

class TamperingTest : public IntegrityTest, public testing::WithParamInterface<Tampering> {};

TEST_P(TamperingTest, IsRefusedWhenAnImageIsBuilt) {
  Deployed();
  Tamper(GetParam().sql);
  Start();
  EXPECT_THAT(RefusalOfImage(), HasSubstr(GetParam().said));
}

INSTANTIATE_TEST_SUITE_P(Kinds, TamperingTest, testing::ValuesIn(kTamperings));

TEST_F(IntegrityTest, EveryDamageOfTheRowsIsNamed) {
  Deployed();
  Tamper("UPDATE releases SET entry = 'os:system', manifest = manifest || '#', version = '2.0.0'");
  Database db = std::move(Database::Open(dir.At("state.db"), {})).value();
  const ReleaseRow row = std::move(FindRelease(db, release)).value();
  EXPECT_EQ(FindRowDamage(db, row).value().size(), 5U);
  const Result<void> checked = CheckRows(db, row);
  ASSERT_FALSE(checked.ok());
  EXPECT_EQ(checked.error().code, ErrorCode::kSystem);
  EXPECT_THAT(checked.error().message, HasSubstr("(2.0.0) is damaged: the audit"));
}

}  // namespace
}  // namespace cloister
