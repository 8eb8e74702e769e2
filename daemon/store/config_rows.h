#pragma once

// The config of apps in state.db, version by version. Blocking; background jobs only.
//
// At most one version of an app is in force and at most one is wanted: it is walked to, and comes
// in force or fails. What is in force stands here and nowhere else, so a node that restarts serves
// exactly that (I11). The sealed value of a secret lives no longer than the versions in force and
// wanted: a secret that was replaced or unset is nowhere any more.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

// Former and failed versions that stay; those that a release served with stay as long as it.
inline constexpr std::uint32_t kConfigVersionsKept = 100;

enum class ConfigState { kWanted, kInForce, kFormer, kFailed };
std::string_view ConfigStateName(ConfigState state);

struct ConfigValueRow {
  std::string name;
  bool secret = false;
  std::string value;   // as it is, or sealed; empty for a secret of a former version
  std::string key_id;  // of the key that it is sealed with
  WallTime set_at;
  std::string set_by;

  // Of the value itself.
  std::size_t size() const;
};

struct ConfigVersionRow {
  std::uint64_t number = 0;
  ConfigState state = ConfigState::kWanted;
  std::string
      action;  // "set", "unset", "secret_set", "secret_unset", "rollback", "release_rollback"
  std::string detail;  // the names, or where it went back to
  WallTime created_at;
  std::string created_by;
  ReleaseId with_release;           // that takes it along; none: a change of the config alone
  std::optional<ReportRow> report;  // why it failed
};

struct NewConfig {
  AppRow app;
  std::string action;
  std::string detail;
  std::vector<ConfigValueRow> values;
  ReleaseId with_release = {};
  // Whether it is in force at once: nothing is live that could fail of it.
  bool at_once = false;
};

// What a secret is sealed for: it opens for no other app and under no other name.
std::string ConfigPlaceOf(AppId app, std::string_view name);

// The number of the version in force; 0: the app has none.
Result<std::uint64_t> FindConfigInForce(Database& db, AppId app);
Result<std::vector<std::pair<AppId, std::uint64_t>>> ListConfigsInForce(Database& db);
// What a start finds to walk to.
struct WantedConfig {
  AppId app;
  std::uint64_t number = 0;
  ReleaseId with_release;
};
Result<std::vector<WantedConfig>> ListWantedConfigs(Database& db);
// By name. Nothing for 0.
Result<std::vector<ConfigValueRow>> ListConfigValues(Database& db, AppId app, std::uint64_t number);
Result<std::optional<ConfigVersionRow>> FindConfigVersion(Database& db, AppId app,
                                                          std::uint64_t number);
// What the config in force takes of its quotas.
struct ConfigUse {
  std::uint64_t keys = 0;
  std::uint64_t bytes = 0;  // of names and values
};
Result<ConfigUse> ReadConfigUse(Database& db, AppId app);
// Newest first.
Result<std::vector<ConfigVersionRow>> ListConfigVersions(Database& db, AppId app,
                                                         std::uint32_t limit);
// The version with which a release served last; empty: not known.
Result<std::optional<std::uint64_t>> FindConfigOf(Database& db, ReleaseId release);

// In one transaction with its audit row. Its number. Nothing is being walked to at that time: a
// version that is still wanted fails.
Result<std::uint64_t> CreateConfig(Database& db, const NewConfig& config, const Change& change);

// The wanted version is in force, the one before is not any more; the live release serves with it.
// In one transaction; the running step of the release is done.
Result<void> PutConfigInForce(Database& db, const AppRow& app, std::uint64_t number,
                              const Change& change);
// The wanted version failed, and the running step of `release` with it. Its secrets go.
Result<void> FailConfig(Database& db, const AppRow& app, std::uint64_t number,
                        const ReportRow& report, const Change& change);

// Inside the transaction in which `release` goes live: version `number`, with which it was booted,
// is in force. kInvalidArgument: it is neither that already, nor what the release takes along.
Result<void> TakeConfigAlong(Database& db, AppId app, ReleaseId release, std::uint64_t number);
// Inside the transaction in which a release's way to live fails: so does what it took along.
Result<void> FailConfigAlong(Database& db, ReleaseId release, const ReportRow& report);

// Steps of changes of the config, which stand among those of the live release.
inline constexpr std::string_view kConfigStepBegin = "config ";
// The steps of the changes before, of which no more is wanted.
Result<void> ForgetConfigSteps(Database& db, ReleaseId release);
// The running step of the release is done; the release stays what it is.
Result<void> FinishConfigStep(Database& db, ReleaseId release, std::string_view detail,
                              WallTime when);

}  // namespace cloister
