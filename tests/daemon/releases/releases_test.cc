#include "daemon/releases/releases.h"

#include <gtest/gtest.h>

#include <ctime>

#include "daemon/store/accounts.h"
#include "daemon/store/release_rows.h"
#include "daemon/store/schema.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

class ReleasesTest : public NodeTest {};

// Writes `count` apps with a live release each, without a node.
void WriteApps(const std::string& path, int count) {
  Database db = std::move(Database::Open(path, {})).value();
  ASSERT_TRUE(Migrate(db).ok());
  ASSERT_TRUE(db.Execute("PRAGMA synchronous=OFF").ok());
  const Change change{.who = "tester", .when = {}};
  const TenantRow tenant = std::move(CreateTenant(db, "demo", change)).value();
  for (int i = 0; i < count; ++i) {
    const AppName name = std::move(AppName::Create("demo", "app-" + std::to_string(i))).value();
    const AppRow app = std::move(CreateApp(db, tenant, name, change)).value();
    ASSERT_TRUE(db.Run("INSERT INTO releases (app_id, version, attempt, state, live, went_live_at, "
                       "digest, entry, manifest, memory_max_bytes, address_space_max_bytes, "
                       "threads_max, cpu_millis, wall_max_ms, workers_min, workers_max, queue_max, "
                       "created_at) VALUES (?, '1.0.0', 1, 'live', 1, 0, zeroblob(32), 'main:app', "
                       "'', 1, 1, 1, 1, 1, 0, 8, 256, 0)",
                       app.id.number)
                    .ok());
  }
}

TEST_F(ReleasesTest, TenThousandAppsStartByReadingRows) {
  WriteApps(dir.At("state.db"), 10'000);
  const std::clock_t began = std::clock();
  Start();
  // Of this process, all threads: what else runs on the machine does not count.
  const double cpu_seconds = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  EXPECT_EQ(releases->catalog().apps().size(), 10'000U);
  EXPECT_EQ(workers->adopted.size(), 10'000U);
  EXPECT_TRUE(workers->booted.empty());
  EXPECT_FALSE(std::filesystem::exists(dir.At("apps"))) << "no app's directory was needed";
  EXPECT_LT(cpu_seconds, 4.0);  // a sanitized build; else a tenth of a second
}

TEST_F(ReleasesTest, ANewerStateIsRefused) {
  {
    Database db = std::move(Database::Open(dir.At("state.db"), {})).value();
    ASSERT_TRUE(db.Execute("PRAGMA user_version = 1000").ok());
  }
  std::optional<Result<void>> started;
  releases->Start([&](Result<void> result) { started = std::move(result); });
  ASSERT_TRUE(RunUntil(loop, [&] { return started.has_value(); }));
  ASSERT_FALSE(started->ok());
  EXPECT_NE(started->error().message.find("newer"), std::string::npos);
  EXPECT_FALSE(releases->open());
}

TEST_F(ReleasesTest, CloseLetsAnotherNodeBeTheWriter) {
  StartWithApp();
  bool closed = false;
  releases->Close([&] { closed = true; });
  ASSERT_TRUE(RunUntil(loop, [&] { return closed; }));
  State next(loop, dir.path());
  std::optional<Result<void>> opened;
  next.Open([&](Result<void> result) { opened = std::move(result); });
  ASSERT_TRUE(RunUntil(loop, [&] { return opened.has_value(); }));
  EXPECT_TRUE(opened->ok());
}

}  // namespace
}  // namespace cloister
