#include "daemon/store/snapshot_rows.h"

#include "daemon/store/audit.h"

namespace cloister {
namespace {

// What stands before WHERE, in the order of ReadSnapshot.
constexpr const char* kOfApp =
    "SELECT number, release_id, version, taken_at, reason FROM snapshots WHERE app_id = ? "
    "ORDER BY taken_at DESC, number DESC";
constexpr const char* kOfRelease =
    "SELECT number, release_id, version, taken_at, reason FROM snapshots WHERE release_id = ? "
    "ORDER BY taken_at DESC, number DESC LIMIT 1";

SnapshotRow ReadSnapshot(const Statement& row) {
  return {.number = row.UInt(0),
          .release = {row.UInt(1)},
          .version = std::string(row.Text(2)),
          .taken_at = FromColumn(row.Int(3)),
          .reason = std::string(row.Text(4))};
}

}  // namespace

Result<DataNumbers> TakeDataNumber(Database& db, AppId app) {
  Statement row = TRY(
      db.Query("UPDATE apps SET data_last = data_last + 1 WHERE id = ? RETURNING data, data_last",
               app.number));
  if (!TRY(row.Step()))
    return Error{ErrorCode::kNotFound, "no app with the id " + std::to_string(app.number)};
  const DataNumbers numbers{.current = row.UInt(0), .next = row.UInt(1)};
  TRY(row.Finish());
  return numbers;
}

Result<void> AddSnapshot(Database& db, AppId app, const SnapshotRow& snapshot) {
  return db.Run(
      "INSERT INTO snapshots (app_id, number, release_id, version, taken_at, reason) "
      "VALUES (?, ?, ?, ?, ?, ?)",
      app.number, snapshot.number, snapshot.release.number, snapshot.version,
      ToColumn(snapshot.taken_at), snapshot.reason);
}

Result<std::vector<SnapshotRow>> ListSnapshots(Database& db, AppId app) {
  Statement rows = TRY(db.Query(kOfApp, app.number));
  std::vector<SnapshotRow> snapshots;
  while (TRY(rows.Step()))
    snapshots.push_back(ReadSnapshot(rows));
  return snapshots;
}

Result<std::optional<SnapshotRow>> FindSnapshot(Database& db, ReleaseId release) {
  Statement row = TRY(db.Query(kOfRelease, release.number));
  if (!TRY(row.Step()))
    return std::optional<SnapshotRow>();
  return std::optional<SnapshotRow>(ReadSnapshot(row));
}

Result<void> PruneSnapshots(Database& db, AppId app, std::uint32_t max) {
  TRY(
      db.Run("DELETE FROM snapshots WHERE app_id = ?1 AND "
             "NOT EXISTS (SELECT 1 FROM releases WHERE id = snapshots.release_id)",
             app.number));
  return db.Run(
      "DELETE FROM snapshots WHERE app_id = ?1 AND number NOT IN (SELECT number FROM snapshots "
      "WHERE app_id = ?1 ORDER BY taken_at DESC, number DESC LIMIT ?2)",
      app.number, max);
}

Result<std::vector<std::uint64_t>> ListData(Database& db, AppId app) {
  Statement rows =
      TRY(db.Query("SELECT data FROM apps WHERE id = ?1 UNION ALL SELECT number FROM snapshots "
                   "WHERE app_id = ?1",
                   app.number));
  std::vector<std::uint64_t> numbers;
  while (TRY(rows.Step()))
    numbers.push_back(rows.UInt(0));
  return numbers;
}

Result<void> TurnData(Database& db, const ReleaseRow& former, const DataTurn& turn, WallTime when) {
  Statement row = TRY(db.Query("SELECT data FROM apps WHERE id = ?", former.app.number));
  if (!TRY(row.Step()))
    return Error{ErrorCode::kNotFound, "no app with the id " + std::to_string(former.app.number)};
  const SnapshotRow replaced{.number = row.UInt(0),
                             .release = former.id,
                             .version = former.version,
                             .taken_at = when,
                             .reason = turn.reason};
  row.Reset();
  TRY(AddSnapshot(db, former.app, replaced));
  return db.Run("UPDATE apps SET data = ? WHERE id = ?", turn.data, former.app.number);
}

}  // namespace cloister
