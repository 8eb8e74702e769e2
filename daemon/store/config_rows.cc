#include "daemon/store/config_rows.h"

#include <algorithm>

#include "apis/backends/sodium.h"
#include "apis/base/log.h"
#include "daemon/store/audit.h"

namespace cloister {
namespace {

constexpr ConfigState kStates[] = {ConfigState::kWanted, ConfigState::kInForce,
                                   ConfigState::kFormer, ConfigState::kFailed};

constexpr const char* kSelectVersions =
    "SELECT number, state, action, detail, created_at, created_by, with_release, report_code, "
    "report_message, report_file, report_line, report_traceback, report_advice "
    "FROM config_versions WHERE ";

std::string SelectVersions(std::string_view condition) {
  return kSelectVersions + std::string(condition);
}

ConfigState StateOf(std::string_view name) {
  for (const ConfigState state : kStates)
    if (ConfigStateName(state) == name)
      return state;
  return ConfigState::kFailed;
}

ConfigVersionRow ReadVersion(const Statement& row) {
  ConfigVersionRow version{.number = row.UInt(0),
                           .state = StateOf(row.Text(1)),
                           .action = std::string(row.Text(2)),
                           .detail = std::string(row.Text(3)),
                           .created_at = FromColumn(row.Int(4)),
                           .created_by = std::string(row.Text(5)),
                           .with_release = {row.UInt(6)},
                           .report = {}};
  if (version.state == ConfigState::kFailed)
    version.report = ReportRow{.code = std::string(row.Text(7)),
                               .message = std::string(row.Text(8)),
                               .file = std::string(row.Text(9)),
                               .line = static_cast<std::uint32_t>(row.Int(10)),
                               .traceback = std::string(row.Text(11)),
                               .advice = std::string(row.Text(12))};
  return version;
}

// From the leaves up. Of those that no release served with the oldest go.
constexpr const char* kBeyond =
    "(SELECT number FROM config_versions WHERE app_id = ?1 AND state IN ('former', 'failed') "
    "AND number NOT IN (SELECT config FROM releases WHERE app_id = ?1 AND config IS NOT NULL) "
    "ORDER BY number DESC LIMIT -1 OFFSET ?2)";

Result<void> CollectVersions(Database& db, AppId app) {
  const std::string beyond = kBeyond;
  TRY(db.Run("DELETE FROM config_values WHERE app_id = ?1 AND number IN " + beyond, app.number,
             kConfigVersionsKept));
  return db.Run("DELETE FROM config_versions WHERE app_id = ?1 AND number IN " + beyond, app.number,
                kConfigVersionsKept);
}

// Whether values that could be read were taken away.
enum class Taken { kNothing, kReadable };

// Inside a transaction.
Result<Taken> Switch(Database& db, AppId app, std::uint64_t number) {
  TRY(db.Run("UPDATE config_versions SET state = 'former' WHERE app_id = ? AND state = 'in_force'",
             app.number));
  TRY(db.Run("UPDATE config_versions SET state = 'in_force' WHERE app_id = ? AND number = ?",
             app.number, number));
  TRY(
      db.Run("UPDATE config_values SET value = x'', key_id = '' "
             "WHERE app_id = ? AND number <> ? AND secret = 1",
             app.number, number));
  // What has become a secret is not to be read where it was none.
  TRY(
      db.Run("DELETE FROM config_values WHERE app_id = ?1 AND number <> ?2 AND secret = 0 "
             "AND name IN (SELECT name FROM config_values WHERE app_id = ?1 AND number = ?2 "
             "AND secret = 1)",
             app.number, number));
  const Taken taken = db.changes() > 0 ? Taken::kReadable : Taken::kNothing;
  TRY(db.Run("UPDATE releases SET config = ? WHERE app_id = ? AND (live = 1 OR state = 'canary')",
             number, app.number));
  TRY(CollectVersions(db, app));
  return taken;
}

// After the transaction: what was taken stands in the write-ahead log until that is cut off.
void Forget(Database& db, Taken taken) {
  if (taken == Taken::kNothing)
    return;
  const auto cut_off = [&db]() -> Result<bool> {
    Statement log = TRY(db.Query("PRAGMA wal_checkpoint(TRUNCATE)"));
    return TRY(log.Step()) && log.Int(0) == 0;
  };
  const Result<bool> done = cut_off();
  if (!done.ok() || !done.value())
    Log(LogLevel::kWarning, "former_values_remain",
        {{"where", "state.db-wal"},
         {"why", done.ok() ? std::string("somebody reads") : done.error().message},
         {"effect", "a value that has become a secret may stand there until the node ends"}});
}

Result<void> SetFailed(Database& db, AppId app, std::uint64_t number, const ReportRow& report) {
  TRY(
      db.Run("UPDATE config_versions SET state = 'failed', report_code = ?, report_message = ?, "
             "report_file = ?, report_line = ?, report_traceback = ?, report_advice = ? "
             "WHERE app_id = ? AND number = ? AND state = 'wanted'",
             report.code, report.message, report.file, report.line, report.traceback, report.advice,
             app.number, number));
  return db.Run(
      "UPDATE config_values SET value = x'', key_id = '' "
      "WHERE app_id = ?1 AND number = ?2 AND secret = 1 AND EXISTS (SELECT 1 "
      "FROM config_versions WHERE app_id = ?1 AND number = ?2 AND state = 'failed')",
      app.number, number);
}

// How a running step ends.
struct Ended {
  std::string_view outcome;  // "done" or "failed"
  std::string_view detail;
  WallTime when;
};

Result<void> EndRunningStep(Database& db, ReleaseId release, const Ended& ended) {
  return db.Run(
      "UPDATE steps SET outcome = ?, detail = ?, ended_at = ? "
      "WHERE release_id = ? AND outcome = 'running' AND name LIKE 'config %'",
      ended.outcome, ended.detail, ToColumn(ended.when), release.number);
}

// One that nobody walks to any more, because its end could not be written.
Result<void> FailForgotten(Database& db, AppId app) {
  std::uint64_t number = 0;
  {
    Statement row = TRY(db.Query(
        "SELECT number FROM config_versions WHERE app_id = ? AND state = 'wanted'", app.number));
    if (!TRY(row.Step()))
      return {};
    number = row.UInt(0);
  }
  return SetFailed(db, app, number, {.code = "interrupted", .message = "its end was not written"});
}

Result<ReleaseId> FindLiveId(Database& db, AppId app) {
  Statement row =
      TRY(db.Query("SELECT id FROM releases WHERE app_id = ? AND live = 1", app.number));
  return TRY(row.Step()) ? ReleaseId{row.UInt(0)} : ReleaseId{};
}

std::string Named(std::uint64_t number, std::string_view detail) {
  std::string text = "config " + std::to_string(number);
  if (!detail.empty())
    text += ": " + std::string(detail);
  return text;
}

}  // namespace

std::string_view ConfigStateName(ConfigState state) {
  switch (state) {
    case ConfigState::kWanted:
      return "wanted";
    case ConfigState::kInForce:
      return "in_force";
    case ConfigState::kFormer:
      return "former";
    case ConfigState::kFailed:
      return "failed";
  }
  return "";
}

std::size_t ConfigValueRow::size() const {
  if (!secret)
    return value.size();
  return value.size() - std::min(value.size(), SealKey::kOverhead);
}

std::string ConfigPlaceOf(AppId app, std::string_view name) {
  return "config of app " + std::to_string(app.number) + '\0' + std::string(name);
}

Result<std::uint64_t> FindConfigInForce(Database& db, AppId app) {
  Statement row = TRY(db.Query(
      "SELECT number FROM config_versions WHERE app_id = ? AND state = 'in_force'", app.number));
  return TRY(row.Step()) ? row.UInt(0) : std::uint64_t{0};
}

Result<std::vector<std::pair<AppId, std::uint64_t>>> ListConfigsInForce(Database& db) {
  Statement rows =
      TRY(db.Query("SELECT app_id, number FROM config_versions WHERE state = 'in_force'"));
  std::vector<std::pair<AppId, std::uint64_t>> numbers;
  while (TRY(rows.Step()))
    numbers.emplace_back(AppId{rows.UInt(0)}, rows.UInt(1));
  return numbers;
}

Result<std::vector<WantedConfig>> ListWantedConfigs(Database& db) {
  Statement rows = TRY(
      db.Query("SELECT app_id, number, with_release FROM config_versions WHERE state = 'wanted'"));
  std::vector<WantedConfig> wanted;
  while (TRY(rows.Step()))
    wanted.push_back(
        {.app = {rows.UInt(0)}, .number = rows.UInt(1), .with_release = {rows.UInt(2)}});
  return wanted;
}

Result<std::vector<ConfigValueRow>> ListConfigValues(Database& db, AppId app,
                                                     std::uint64_t number) {
  Statement rows =
      TRY(db.Query("SELECT name, secret, value, key_id, set_at, set_by FROM config_values "
                   "WHERE app_id = ? AND number = ? ORDER BY name",
                   app.number, number));
  std::vector<ConfigValueRow> values;
  while (TRY(rows.Step()))
    values.push_back({.name = std::string(rows.Text(0)),
                      .secret = rows.Int(1) != 0,
                      .value = std::string(rows.BlobBytes(2)),
                      .key_id = std::string(rows.Text(3)),
                      .set_at = FromColumn(rows.Int(4)),
                      .set_by = std::string(rows.Text(5))});
  return values;
}

Result<ConfigUse> ReadConfigUse(Database& db, AppId app) {
  const std::uint64_t in_force = TRY(FindConfigInForce(db, app));
  ConfigUse use;
  for (const ConfigValueRow& row : TRY(ListConfigValues(db, app, in_force))) {
    ++use.keys;
    use.bytes += row.name.size() + row.size();
  }
  return use;
}

Result<std::optional<ConfigVersionRow>> FindConfigVersion(Database& db, AppId app,
                                                          std::uint64_t number) {
  Statement row = TRY(db.Query(SelectVersions("app_id = ? AND number = ?"), app.number, number));
  if (!TRY(row.Step()))
    return std::optional<ConfigVersionRow>();
  return std::optional<ConfigVersionRow>(ReadVersion(row));
}

Result<std::vector<ConfigVersionRow>> ListConfigVersions(Database& db, AppId app,
                                                         std::uint32_t limit) {
  Statement rows =
      TRY(db.Query(SelectVersions("app_id = ? ORDER BY number DESC LIMIT ?"), app.number, limit));
  std::vector<ConfigVersionRow> versions;
  while (TRY(rows.Step()))
    versions.push_back(ReadVersion(rows));
  return versions;
}

Result<std::optional<std::uint64_t>> FindConfigOf(Database& db, ReleaseId release) {
  Statement row = TRY(db.Query("SELECT config FROM releases WHERE id = ?", release.number));
  if (!TRY(row.Step()) || row.IsNull(0))
    return std::optional<std::uint64_t>();
  return std::optional<std::uint64_t>(row.UInt(0));
}

Result<std::uint64_t> CreateConfig(Database& db, const NewConfig& config, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  const std::uint64_t app = config.app.id.number;
  TRY(FailForgotten(db, config.app.id));
  TRY(
      db.Run("INSERT INTO config_versions (app_id, number, state, action, detail, created_at, "
             "created_by, with_release) VALUES (?1, (SELECT coalesce(max(number), 0) + 1 "
             "FROM config_versions WHERE app_id = ?1), 'wanted', ?2, ?3, ?4, ?5, ?6)",
             app, config.action, config.detail, ToColumn(change.when), change.who,
             config.with_release.number));
  std::uint64_t number = 0;
  {
    Statement row = TRY(db.Query("SELECT max(number) FROM config_versions WHERE app_id = ?", app));
    TRY(row.Step());
    number = row.UInt(0);
  }
  for (const ConfigValueRow& value : config.values)
    TRY(
        db.Run("INSERT INTO config_values (app_id, number, name, secret, value, key_id, set_at, "
               "set_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
               app, number, value.name, value.secret ? 1 : 0, Blob{value.value}, value.key_id,
               ToColumn(value.set_at), value.set_by));
  TRY(AddAudit(db, change, "config_" + config.action, config.app.name.ToString(),
               Named(number, config.detail)));
  Taken taken = Taken::kNothing;
  if (config.at_once)
    taken = TRY(Switch(db, config.app.id, number));
  TRY(transaction.Commit());
  Forget(db, taken);
  return number;
}

Result<void> PutConfigInForce(Database& db, const AppRow& app, std::uint64_t number,
                              const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  const Taken taken = TRY(Switch(db, app.id, number));
  const ReleaseId live = TRY(FindLiveId(db, app.id));
  TRY(EndRunningStep(db, live, {"done", "", change.when}));
  TRY(AddAudit(db, change, "config_in_force", app.name.ToString(), Named(number, "")));
  TRY(transaction.Commit());
  Forget(db, taken);
  return {};
}

Result<void> FailConfig(Database& db, const AppRow& app, std::uint64_t number,
                        const ReportRow& report, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(SetFailed(db, app.id, number, report));
  const ReleaseId live = TRY(FindLiveId(db, app.id));
  TRY(EndRunningStep(db, live, {"failed", report.message, change.when}));
  TRY(AddAudit(db, change, "config_failed", app.name.ToString(), Named(number, report.code)));
  return transaction.Commit();
}

Result<void> TakeConfigAlong(Database& db, AppId app, ReleaseId release, std::uint64_t number) {
  if (number == TRY(FindConfigInForce(db, app)))
    return db.Run("UPDATE releases SET config = ? WHERE id = ?", number, release.number);
  {
    Statement row =
        TRY(db.Query("SELECT 1 FROM config_versions "
                     "WHERE app_id = ? AND number = ? AND state = 'wanted' AND with_release = ?",
                     app.number, number, release.number));
    if (!TRY(row.Step()))
      return Error{ErrorCode::kInvalidArgument,
                   "config " + std::to_string(number) + " is not wanted with this release"};
  }
  // It makes no secret of anything: ChooseReleaseConfig.
  (void)TRY(Switch(db, app, number));
  return {};
}

Result<void> FailConfigAlong(Database& db, ReleaseId release, const ReportRow& report) {
  AppId app;
  std::uint64_t number = 0;
  {
    Statement row =
        TRY(db.Query("SELECT app_id, number FROM config_versions "
                     "WHERE state = 'wanted' AND with_release = ?",
                     release.number));
    if (!TRY(row.Step()))
      return {};
    app = {row.UInt(0)};
    number = row.UInt(1);
  }
  return SetFailed(db, app, number, report);
}

Result<void> ForgetConfigSteps(Database& db, ReleaseId release) {
  return db.Run("DELETE FROM steps WHERE release_id = ? AND name LIKE 'config %'", release.number);
}

Result<void> FinishConfigStep(Database& db, ReleaseId release, std::string_view detail,
                              WallTime when) {
  return EndRunningStep(db, release, {"done", detail, when});
}

}  // namespace cloister
