#pragma once

// A state database in a directory of its own, with a tenant and an app.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "daemon/store/accounts.h"
#include "daemon/store/compress.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/contents.h"
#include "daemon/store/release_rows.h"
#include "daemon/store/schema.h"
#include "tests/support/temp_dir.h"

namespace cloister {

// The value, or a failure of the test and the end of the process: tests have no use for less.
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  return std::move(result).value();
}
inline void Must(const Result<void>& result) {
  if (!result.ok())
    ADD_FAILURE() << result.error().message;
}

inline Database OpenState(const std::string& path) {
  Database db = Must(Database::Open(path, {}));
  Must(Migrate(db));
  return db;
}

inline VerifiedContent ContentOf(std::string_view bytes) {
  return {.sha256 = Sha256Of(bytes), .size = bytes.size(), .compressed = Compress(bytes)};
}

inline ReleaseFile FileOf(std::string path, std::string_view bytes) {
  return {.path = std::move(path), .sha256 = Sha256Of(bytes), .size = bytes.size()};
}

inline std::int64_t Count(Database& db, const std::string& from) {
  Statement row = Must(db.Prepare("SELECT count(*) FROM " + from));
  EXPECT_TRUE(Must(row.Step()));
  return row.Int(0);
}

class StoreTest : public testing::Test {
 protected:
  StoreTest()
      : db_(OpenState(dir_.At("state.db"))),
        tenant_(Must(CreateTenant(db_, "demo", At(0)))),
        app_(Must(CreateApp(db_, tenant_, Must(AppName::Create("demo", "hello")), At(0)))) {}

  static Change At(std::int64_t seconds) {
    return {.who = "tester", .when = WallTime(Seconds(1'700'000'000 + seconds))};
  }

  NewRelease Release(const std::string& version, std::vector<ReleaseFile> files = {}) const {
    return {.app = app_.id,
            .tenant = tenant_.id,
            .app_name = app_.name.ToString(),
            .version = version,
            .digest = Sha256Of(version),
            .manifest = "manifest of " + version,
            .run = {.entry = "main:application", .limits = {}},
            .files = std::move(files),
            .note = {}};
  }

  // A release that went through every step up to `state`.
  ReleaseRow ReleaseIn(ReleaseState state, const std::string& version) {
    const ReleaseRow release = Must(CreateRelease(db_, Release(version), At(0)));
    for (const ReleaseState next : {ReleaseState::kVerified, ReleaseState::kCompiled,
                                    ReleaseState::kBooted, ReleaseState::kChecked}) {
      if (next > state)
        break;
      Must(StartStep(db_, release.id, ReleaseStateName(next), At(0).when));
      Must(FinishStep(db_, release.id, next, {}, At(0).when));
    }
    if (state >= ReleaseState::kLive)
      Must(GoLive(db_, release.id, Must(FindConfigInForce(db_, app_.id)), "demo/hello", At(0)));
    return Must(FindRelease(db_, release.id));
  }

  TempDir dir_;
  Database db_;
  TenantRow tenant_;
  AppRow app_;
};

}  // namespace cloister
