#include "daemon/store/release_rows.h"

#include <algorithm>
#include <cstddef>

#include "apis/base/check.h"
#include "daemon/store/audit.h"
#include "daemon/store/compress.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/seals.h"

namespace cloister {
namespace {

constexpr std::string_view kUnfinished =
    "state IN ('received', 'verified', 'compiled', 'booted', 'checked')";

// On their way to be live again, or from canary to live.
constexpr std::string_view kTurning =
    "state IN ('kept', 'draining', 'canary') AND EXISTS (SELECT 1 FROM steps "
    "WHERE release_id = releases.id AND name = 'live' AND outcome = 'running')";

// Every column in the order of ReadRelease; `where` is a literal of ours.
std::string SelectReleases(std::string_view where) {
  return "SELECT id, app_id, version, attempt, state, live, went_live_at, digest, entry, "
         "memory_max_bytes, address_space_max_bytes, threads_max, cpu_millis, wall_max_ms, "
         "workers_min, workers_max, queue_max, created_at, goal, canary_percent, created_by, "
         "live_sequence, pinned, statics, rehearsal FROM releases WHERE " +
         std::string(where);
}

std::uint32_t U32(const Statement& row, int column) {
  return static_cast<std::uint32_t>(row.Int(column));
}

Result<ReleaseRow> ReadRelease(const Statement& row) {
  const std::optional<ReleaseState> state = ReleaseStateOf(row.Text(4));
  const std::optional<Sha256> digest = Sha256::FromBytes(row.BlobBytes(7));
  const std::optional<ReleaseGoal> goal = ReleaseGoalOf(row.Text(18));
  if (!state || !digest || !goal)
    return Error{ErrorCode::kSystem, "release " + std::to_string(row.Int(0)) + " is damaged"};
  return ReleaseRow{.id = {row.UInt(0)},
                    .app = {row.UInt(1)},
                    .version = std::string(row.Text(2)),
                    .attempt = U32(row, 3),
                    .state = *state,
                    .live = row.Int(5) != 0,
                    .was_live = !row.IsNull(6),
                    .pinned = row.Int(22) != 0,
                    .digest = *digest,
                    .run = {.entry = std::string(row.Text(8)),
                            .limits = {.memory_max = Bytes{row.UInt(9)},
                                       .address_space_max = Bytes{row.UInt(10)},
                                       .threads_max = U32(row, 11),
                                       .cpu_millis = U32(row, 12),
                                       .wall_max = Millis(row.Int(13))},
                            .workers_min = U32(row, 14),
                            .workers_max = U32(row, 15),
                            .queue_max = U32(row, 16),
                            .statics = std::string(row.Text(23))},
                    .created_at = FromColumn(row.Int(17)),
                    .goal = *goal,
                    .canary_percent = U32(row, 19),
                    .created_by = std::string(row.Text(20)),
                    .live_sequence = row.IsNull(21) ? 0 : row.UInt(21),
                    .rehearsal = row.Int(24) != 0 ? Rehearsal::kYes : Rehearsal::kNo};
}

Result<std::vector<ReleaseRow>> ReadReleases(Statement rows) {
  std::vector<ReleaseRow> releases;
  while (TRY(rows.Step()))
    releases.push_back(TRY(ReadRelease(rows)));
  return releases;
}

Result<std::optional<ReleaseRow>> ReadOne(Statement rows) {
  if (!TRY(rows.Step()))
    return std::optional<ReleaseRow>();
  return std::optional<ReleaseRow>(TRY(ReadRelease(rows)));
}

Result<void> InsertRelease(Database& db, const NewRelease& release, const Change& change) {
  const ReleaseRun& run = release.run;
  const Sha256 seal = SealOfRun(run);
  return db.Run(
      "INSERT INTO releases (app_id, version, attempt, state, digest, entry, manifest, "
      "memory_max_bytes, address_space_max_bytes, threads_max, cpu_millis, wall_max_ms, "
      "workers_min, workers_max, queue_max, created_at, goal, canary_percent, created_by, "
      "run_seal, statics, rehearsal) "
      "VALUES (?1, ?2, (SELECT coalesce(max(attempt), 0) + 1 FROM ("
      "SELECT attempt FROM releases WHERE app_id = ?1 AND version = ?2 UNION ALL "
      "SELECT attempt FROM collected_releases WHERE app_id = ?1 AND version = ?2)), ?3, ?4, ?5, "
      "?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
      "?15, ?16, ?17, ?18, ?19, ?20, ?21)",
      release.app.number, release.version, ReleaseStateName(ReleaseState::kReceived),
      Blob{release.digest.view()}, run.entry, release.manifest, run.limits.memory_max.count,
      run.limits.address_space_max.count, run.limits.threads_max, run.limits.cpu_millis,
      run.limits.wall_max.count(), run.workers_min, run.workers_max, run.queue_max,
      ToColumn(change.when), ReleaseGoalName(release.goal), release.canary_percent, change.who,
      Blob{seal.view()}, run.statics, release.rehearsal == Rehearsal::kYes ? 1 : 0);
}

// Moves a release within the table; a row that cannot be where it is was changed by others.
Result<void> Move(Database& db, ReleaseId id, ReleaseState next) {
  const ReleaseRow release = TRY(FindRelease(db, id));
  if (!MayMove(release.state, next))
    return Error{ErrorCode::kSystem, "release " + std::to_string(id.number) + " (" +
                                         release.version + ") is damaged: it is " +
                                         std::string(ReleaseStateName(release.state)) +
                                         " and was to be " + std::string(ReleaseStateName(next))};
  return db.Run("UPDATE releases SET state = ? WHERE id = ?", ReleaseStateName(next), id.number);
}

// How a running step ends.
struct Ended {
  std::string_view outcome;  // "done" or "failed"
  std::string_view detail;
  WallTime when;
};

Result<void> EndStep(Database& db, ReleaseId id, const Ended& ended) {
  return db.Run(
      "UPDATE steps SET outcome = ?, detail = ?, ended_at = ? "
      "WHERE release_id = ? AND outcome = 'running'",
      ended.outcome, ended.detail, ToColumn(ended.when), id.number);
}

// The running step of that name ends.
Result<void> EndRunning(Database& db, ReleaseId id, std::string_view name, const Ended& ended) {
  return db.Run(
      "UPDATE steps SET outcome = ?, detail = ?, ended_at = ? "
      "WHERE release_id = ? AND name = ? AND outcome = 'running'",
      ended.outcome, ended.detail, ToColumn(ended.when), id.number, name);
}

Result<void> SetReport(Database& db, ReleaseId id, const ReportRow& report) {
  return db.Run(
      "INSERT OR REPLACE INTO reports (release_id, code, message, file, line, traceback, advice) "
      "VALUES (?, ?, ?, ?, ?, ?, ?)",
      id.number, report.code, report.message, report.file, report.line, report.traceback,
      report.advice);
}

// The release takes requests from now on, in `state`: its version is taken.
Result<void> BeginServing(Database& db, const ReleaseRow& release, ReleaseState state,
                          std::string_view subject, const Change& change) {
  TRY(Move(db, release.id, state));
  TRY(db.Run("UPDATE releases SET went_live_at = coalesce(went_live_at, ?) WHERE id = ?",
             ToColumn(change.when), release.id.number));
  if (state == ReleaseState::kLive)
    TRY(
        db.Run("UPDATE releases SET live = 1, live_sequence = 1 + (SELECT "
               "coalesce(max(live_sequence), 0) FROM releases WHERE app_id = ?) WHERE id = ?",
               release.app.number, release.id.number));
  TRY(db.Run("DELETE FROM reports WHERE release_id = ?", release.id.number));
  return AddAudit(db, change, state == ReleaseState::kLive ? "release_live" : "release_canary",
                  subject);
}

// No new requests come for it: it drains.
Result<void> EndServing(Database& db, ReleaseId id, WallTime when) {
  TRY(Move(db, id, ReleaseState::kDraining));
  TRY(db.Run("UPDATE releases SET live = 0 WHERE id = ?", id.number));
  return StartStep(db, id, ReleaseStateName(ReleaseState::kDraining), when);
}

std::string ReceivedDetail(const NewRelease& release) {
  std::string detail = std::to_string(release.files.size()) + " files";
  if (release.left_out > 0)
    detail += ", " + std::to_string(release.left_out) + " left out";
  if (!release.note.empty())
    detail += "; " + release.note;
  return detail;
}

StepOutcome OutcomeOf(std::string_view name) {
  if (name == "running")
    return StepOutcome::kRunning;
  return name == "done" ? StepOutcome::kDone : StepOutcome::kFailed;
}

}  // namespace

Result<ReleaseRow> CreateRelease(Database& db, const NewRelease& release, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(InsertRelease(db, release, change));
  const ReleaseId id{db.last_row_id()};
  for (const ReleaseFile& file : release.files)
    TRY(db.Run("INSERT INTO release_files (release_id, path, sha256, size) VALUES (?, ?, ?, ?)",
               id.number, file.path, Blob{file.sha256.view()}, file.size));
  TRY(StartStep(db, id, ReleaseStateName(ReleaseState::kReceived), change.when));
  TRY(EndStep(db, id, {"done", ReceivedDetail(release), change.when}));
  TRY(AddAudit(db, change, "release_created", release.app_name + "@" + release.version,
               release.digest.Hex()));
  TRY(transaction.Commit());
  return FindRelease(db, id);
}

Result<ReleaseRow> FindRelease(Database& db, ReleaseId id) {
  Statement row = TRY(db.Query(SelectReleases("id = ?"), id.number));
  if (!TRY(row.Step()))
    return Error{ErrorCode::kNotFound, "no release with the id " + std::to_string(id.number)};
  return ReadRelease(row);
}

Result<std::string> FindManifest(Database& db, ReleaseId id) {
  Statement row = TRY(db.Query("SELECT manifest FROM releases WHERE id = ?", id.number));
  if (!TRY(row.Step()))
    return Error{ErrorCode::kNotFound, "no release with the id " + std::to_string(id.number)};
  return std::string(row.Text(0));
}

Result<Sha256> FindRunSeal(Database& db, ReleaseId id) {
  Statement row = TRY(db.Query("SELECT run_seal FROM releases WHERE id = ?", id.number));
  if (!TRY(row.Step()))
    return Error{ErrorCode::kNotFound, "no release with the id " + std::to_string(id.number)};
  return Sha256::FromBytes(row.BlobBytes(0)).value_or(Sha256());
}

Result<std::optional<ReleaseRow>> FindLive(Database& db, AppId app) {
  return ReadOne(TRY(db.Query(SelectReleases("app_id = ? AND live = 1"), app.number)));
}

Result<std::optional<ReleaseRow>> FindCanary(Database& db, AppId app) {
  return ReadOne(TRY(db.Query(SelectReleases("app_id = ? AND state = 'canary'"), app.number)));
}

Result<std::optional<ReleaseRow>> FindPrevious(Database& db, AppId app) {
  return ReadOne(
      TRY(db.Query(SelectReleases("app_id = ? AND state IN ('draining', 'kept') AND "
                                  "live_sequence IS NOT NULL ORDER BY live_sequence DESC LIMIT 1"),
                   app.number)));
}

Result<std::vector<ReleaseRow>> ListVersion(Database& db, AppId app, std::string_view version) {
  return ReadReleases(TRY(db.Query(SelectReleases("app_id = ? AND version = ? ORDER BY attempt"),
                                   app.number, version)));
}

Result<std::vector<ReleaseRow>> ListReleases(Database& db, AppId app, std::uint32_t limit) {
  return ReadReleases(
      TRY(db.Query(SelectReleases("app_id = ? ORDER BY id DESC LIMIT ?"), app.number, limit)));
}

Result<std::vector<ReleaseRow>> ListServing(Database& db) {
  return ReadReleases(
      TRY(db.Query(SelectReleases("live = 1 OR state = 'canary' ORDER BY app_id"))));
}

Result<std::vector<ReleaseId>> ListReleaseIds(Database& db, AppId app) {
  Statement rows =
      TRY(db.Query("SELECT id FROM releases WHERE app_id = ? ORDER BY id", app.number));
  std::vector<ReleaseId> ids;
  while (TRY(rows.Step()))
    ids.push_back({rows.UInt(0)});
  return ids;
}

Result<std::vector<std::string>> ListTakenVersions(Database& db, AppId app) {
  Statement rows =
      TRY(db.Query("SELECT version FROM releases WHERE app_id = ?1 AND went_live_at IS NOT NULL "
                   "UNION SELECT version FROM collected_releases WHERE app_id = ?1",
                   app.number));
  std::vector<std::string> versions;
  while (TRY(rows.Step()))
    versions.emplace_back(rows.Text(0));
  return versions;
}

Result<std::vector<ReleaseFile>> ListFiles(Database& db, ReleaseId id) {
  Statement rows = TRY(
      db.Query("SELECT path, sha256, size FROM release_files WHERE release_id = ? ORDER BY path",
               id.number));
  std::vector<ReleaseFile> files;
  while (TRY(rows.Step()))
    files.push_back({.path = std::string(rows.Text(0)),
                     .sha256 = Sha256::FromBytes(rows.BlobBytes(1)).value_or(Sha256()),
                     .size = rows.UInt(2)});
  return files;
}

Result<std::vector<StepRow>> ListSteps(Database& db, ReleaseId id) {
  Statement rows =
      TRY(db.Query("SELECT sequence, name, outcome, started_at, ended_at, detail FROM steps "
                   "WHERE release_id = ? ORDER BY sequence",
                   id.number));
  std::vector<StepRow> steps;
  while (TRY(rows.Step()))
    steps.push_back({.sequence = U32(rows, 0),
                     .name = std::string(rows.Text(1)),
                     .outcome = OutcomeOf(rows.Text(2)),
                     .started_at = FromColumn(rows.Int(3)),
                     .ended_at = FromColumn(rows.Int(4)),
                     .detail = std::string(rows.Text(5))});
  return steps;
}

Result<std::optional<ReportRow>> FindReport(Database& db, ReleaseId id) {
  Statement row =
      TRY(db.Query("SELECT code, message, file, line, traceback, advice FROM reports "
                   "WHERE release_id = ?",
                   id.number));
  if (!TRY(row.Step()))
    return std::optional<ReportRow>();
  return std::optional<ReportRow>(ReportRow{.code = std::string(row.Text(0)),
                                            .message = std::string(row.Text(1)),
                                            .file = std::string(row.Text(2)),
                                            .line = U32(row, 3),
                                            .traceback = std::string(row.Text(4)),
                                            .advice = std::string(row.Text(5))});
}

Result<void> StartStep(Database& db, ReleaseId id, std::string_view name, WallTime when) {
  return db.Run(
      "INSERT INTO steps (release_id, sequence, name, outcome, started_at) VALUES (?1, "
      "(SELECT coalesce(max(sequence), 0) + 1 FROM steps WHERE release_id = ?1), ?2, 'running', "
      "?3)",
      id.number, name, ToColumn(when));
}

Result<void> FinishStep(Database& db, ReleaseId id, ReleaseState next, const StepEnd& end,
                        WallTime when) {
  CHECK(next != ReleaseState::kLive && next != ReleaseState::kRejected);
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(Move(db, id, next));
  if (!end.modules.empty())
    TRY(db.Run("INSERT OR REPLACE INTO release_modules (release_id, compressed) VALUES (?, ?)",
               id.number, Blob{Compress(end.modules)}));
  TRY(EndStep(db, id, {"done", end.detail, when}));
  return transaction.Commit();
}

Result<std::optional<std::string>> FindModules(Database& db, ReleaseId id) {
  Statement row =
      TRY(db.Query("SELECT compressed FROM release_modules WHERE release_id = ?", id.number));
  if (!TRY(row.Step()))
    return std::optional<std::string>();
  const std::string_view frame = row.BlobBytes(0);
  const std::uint64_t size = TRY(DecompressedSize(frame));
  return std::optional(TRY(Decompress(frame, size)));
}

Result<void> KeepChecked(Database& db, ReleaseId id, std::string_view subject,
                         const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(Move(db, id, ReleaseState::kKept));
  TRY(AddAudit(db, change, "release_checked", subject));
  return transaction.Commit();
}

Result<Displaced> GoLive(Database& db, ReleaseId id, const Along& along, std::string_view subject,
                         const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  const ReleaseRow release = TRY(FindRelease(db, id));
  Displaced displaced;
  if (const std::optional<ReleaseRow> former = TRY(FindLive(db, release.app))) {
    displaced.push_back(former->id);
    if (along.data)
      TRY(TurnData(db, *former, *along.data, change.when));
  }
  if (const std::optional<ReleaseRow> canary = TRY(FindCanary(db, release.app)))
    displaced.push_back(canary->id);
  std::erase(displaced, id);
  for (const ReleaseId former : displaced)
    TRY(EndServing(db, former, change.when));
  TRY(EndStep(db, id, {"done", along.detail, change.when}));
  TRY(BeginServing(db, release, ReleaseState::kLive, subject, change));
  TRY(TakeConfigAlong(db, release.app, id, along.config));
  TRY(transaction.Commit());
  return displaced;
}

Result<Displaced> GoCanary(Database& db, ReleaseId id, const Along& along, std::string_view subject,
                           const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  const ReleaseRow release = TRY(FindRelease(db, id));
  Displaced displaced;
  if (const std::optional<ReleaseRow> former = TRY(FindCanary(db, release.app))) {
    displaced.push_back(former->id);
    TRY(EndServing(db, former->id, change.when));
  }
  TRY(EndStep(db, id, {"done", along.detail, change.when}));
  TRY(BeginServing(db, release, ReleaseState::kCanary, subject, change));
  TRY(TakeConfigAlong(db, release.app, id, along.config));
  TRY(transaction.Commit());
  return displaced;
}

Result<void> WithdrawCanary(Database& db, ReleaseId id, std::string_view subject,
                            const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(EndServing(db, id, change.when));
  TRY(AddAudit(db, change, "canary_withdrawn", subject));
  return transaction.Commit();
}

Result<void> FinishDraining(Database& db, ReleaseId id, WallTime when) {
  Transaction transaction = TRY(Transaction::Begin(db));
  const Result<ReleaseRow> release = FindRelease(db, id);
  // Its app may be gone, or it may be live again.
  if (!release.ok() || release.value().state != ReleaseState::kDraining)
    return {};
  TRY(Move(db, id, ReleaseState::kKept));
  TRY(EndRunning(db, id, ReleaseStateName(ReleaseState::kDraining), {"done", "", when}));
  return transaction.Commit();
}

Result<void> RejectRelease(Database& db, ReleaseId id, const ReportRow& report,
                           std::string_view subject, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(Move(db, id, ReleaseState::kRejected));
  TRY(EndStep(db, id, {"failed", report.message, change.when}));
  TRY(SetReport(db, id, report));
  TRY(AddAudit(db, change, "release_rejected", subject, report.code));
  return transaction.Commit();
}

Result<void> FailStep(Database& db, ReleaseId id, const ReportRow& report, std::string_view subject,
                      const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(EndRunning(db, id, ReleaseStateName(ReleaseState::kLive),
                 {"failed", report.message, change.when}));
  TRY(SetReport(db, id, report));
  TRY(FailConfigAlong(db, id, report));
  TRY(AddAudit(db, change, "release_not_live", subject, report.code));
  return transaction.Commit();
}

Result<void> SetRun(Database& db, ReleaseId id, const ReleaseRun& run) {
  const Sha256 seal = SealOfRun(run);
  return db.Run(
      "UPDATE releases SET entry = ?, memory_max_bytes = ?, address_space_max_bytes = ?, "
      "threads_max = ?, cpu_millis = ?, wall_max_ms = ?, workers_min = ?, workers_max = ?, "
      "queue_max = ?, run_seal = ?, statics = ? WHERE id = ?",
      run.entry, run.limits.memory_max.count, run.limits.address_space_max.count,
      run.limits.threads_max, run.limits.cpu_millis, run.limits.wall_max.count(), run.workers_min,
      run.workers_max, run.queue_max, Blob{seal.view()}, run.statics, id.number);
}

Result<void> MarkForResume(Database& db, const ResumeMark& mark, WallTime when) {
  Transaction transaction = TRY(Transaction::Begin(db));
  const ReleaseRow release = TRY(FindRelease(db, mark.release));
  const bool may_turn = release.state == ReleaseState::kKept ||
                        release.state == ReleaseState::kDraining ||
                        release.state == ReleaseState::kCanary;
  if (mark.walk == ResumeMark::Walk::kTurnToBegin && may_turn)
    TRY(StartStep(db, mark.release, ReleaseStateName(ReleaseState::kLive), when));
  const std::string_view condition =
      mark.walk == ResumeMark::Walk::kDeploy ? kUnfinished : kTurning;
  TRY(db.Run("UPDATE releases SET resume = 1 WHERE id = ? AND " + std::string(condition),
             mark.release.number));
  return transaction.Commit();
}

Result<Unfinished> CloseInterrupted(Database& db, const ReportRow& report, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  Unfinished found;
  // Nothing drains any more.
  TRY(db.Run("UPDATE releases SET state = 'kept' WHERE state = 'draining'"));
  TRY(
      db.Run("UPDATE steps SET outcome = 'done', ended_at = ? "
             "WHERE outcome = 'running' AND name = 'draining'",
             ToColumn(change.when)));
  const std::string resumed = "resume = 1 AND (" + std::string(kUnfinished) + " OR " +
                              std::string(kTurning) + ") ORDER BY id";
  Statement marked = TRY(db.Query(SelectReleases(resumed)));
  found.resumed = TRY(ReadReleases(std::move(marked)));
  TRY(db.Run("UPDATE releases SET resume = 0 WHERE resume = 1"));
  for (const ReleaseRow& release : found.resumed)
    TRY(EndStep(db, release.id, {"failed", "the node was replaced: once more", change.when}));
  Statement rows = TRY(db.Query(SelectReleases(kUnfinished)));
  const std::vector<ReleaseRow> unfinished = TRY(ReadReleases(std::move(rows)));
  for (const ReleaseRow& release : unfinished) {
    if (std::ranges::find(found.resumed, release.id, &ReleaseRow::id) != found.resumed.end())
      continue;
    TRY(Move(db, release.id, ReleaseState::kRejected));
    TRY(EndStep(db, release.id, {"failed", report.message, change.when}));
    TRY(SetReport(db, release.id, report));
    TRY(AddAudit(db, change, "release_rejected", "release " + std::to_string(release.id.number),
                 report.code));
    ++found.rejected;
  }
  // One that was to be live again, and is not.
  TRY(db.Run("UPDATE steps SET outcome = 'failed', ended_at = ? WHERE outcome = 'running'",
             ToColumn(change.when)));
  TRY(transaction.Commit());
  return found;
}

}  // namespace cloister
