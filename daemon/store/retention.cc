#include "daemon/store/retention.h"

#include "daemon/store/audit.h"
#include "daemon/store/release_rows.h"

namespace cloister {
namespace {

struct Candidate {
  ReleaseId id;
  std::string version;
};

// A release settles when its last step ends: it is rejected, or nothing runs on it any more. Where
// a plain rollback goes stays, and so does what is on its way to be live again.
constexpr const char* kCandidates = R"sql(
WITH settled AS MATERIALIZED (
  SELECT id, state, pinned, live_sequence IS NOT NULL AS was_live, coalesce(
    (SELECT max(ended_at) FROM steps WHERE release_id = releases.id), created_at) AS at
  FROM releases WHERE app_id = ?1 AND state IN ('kept', 'rejected') AND NOT EXISTS (
    SELECT 1 FROM steps WHERE release_id = releases.id AND outcome = 'running')
), placed AS (
  SELECT id, at, row_number() OVER (PARTITION BY state, was_live ORDER BY at DESC, id DESC) AS place
  FROM settled WHERE pinned = 0
), beyond AS (
  SELECT id, at FROM placed WHERE (place > ?2 OR at < ?3) AND id IS NOT (
    SELECT id FROM releases WHERE app_id = ?1 AND state = 'kept' AND live_sequence IS NOT NULL
    ORDER BY live_sequence DESC LIMIT 1)
  ORDER BY at, id LIMIT ?4
)
SELECT id, version, (SELECT count(*) FROM release_files WHERE release_id = releases.id)
FROM beyond JOIN releases USING (id) ORDER BY at, id
)sql";

Result<std::vector<Candidate>> ListCandidates(Database& db, AppId app, const KeepPolicy& policy,
                                              const CollectBounds& bounds) {
  Statement rows = TRY(
      db.Query(kCandidates, app.number, policy.kept_max, ToColumn(policy.before), bounds.releases));
  std::vector<Candidate> candidates;
  std::uint64_t files = 0;
  while (files < bounds.files && TRY(rows.Step())) {
    candidates.push_back({.id = {rows.UInt(0)}, .version = std::string(rows.Text(1))});
    files += rows.UInt(2);
  }
  return candidates;
}

constexpr const char* kRemember =
    "INSERT INTO collected_releases "
    "  (id, app_id, version, attempt, digest, created_at, went_live_at, collected_at) "
    "SELECT id, app_id, version, attempt, digest, created_at, went_live_at, ? "
    "FROM releases WHERE id = ? AND went_live_at IS NOT NULL";

// From the leaves up: foreign keys are checked at each statement. The bytecode goes first, while
// the release's list of files is there to name it.
constexpr const char* kRemovals[] = {
    // Most of what goes is in no other release of anybody: the index of contents knows at once.
    // Else each other release of the app is asked for the path. CROSS JOIN keeps the order.
    "DELETE FROM bytecode WHERE rowid IN ("
    "  SELECT b.rowid FROM releases mine CROSS JOIN release_files f ON f.release_id = mine.id "
    "  CROSS JOIN bytecode b ON b.app_id = mine.app_id AND b.sha256 = f.sha256 AND b.path = f.path "
    "  WHERE mine.id = ? AND (NOT EXISTS ("
    "    SELECT 1 FROM release_files g WHERE g.sha256 = b.sha256 AND g.release_id != mine.id) "
    "  OR NOT EXISTS ("
    "    SELECT 1 FROM releases other CROSS JOIN release_files g "
    "      ON g.release_id = other.id AND g.path = b.path AND g.sha256 = b.sha256 "
    "    WHERE other.app_id = b.app_id AND other.id != mine.id)))",
    "DELETE FROM reports WHERE release_id = ?",
    "DELETE FROM release_modules WHERE release_id = ?",
    "DELETE FROM steps WHERE release_id = ?",
    "DELETE FROM release_files WHERE release_id = ?",
    "DELETE FROM releases WHERE id = ?",
};

// Inside a transaction.
Result<void> RemoveRelease(Database& db, ReleaseId id, WallTime when) {
  TRY(db.Run(kRemember, ToColumn(when), id.number));
  for (const char* sql : kRemovals)
    TRY(db.Run(sql, id.number));
  return {};
}

Result<std::vector<CollectedRow>> ReadCollected(Statement rows) {
  std::vector<CollectedRow> collected;
  while (TRY(rows.Step()))
    collected.push_back({.id = {rows.UInt(0)},
                         .version = std::string(rows.Text(1)),
                         .attempt = static_cast<std::uint32_t>(rows.Int(2)),
                         .digest = Sha256::FromBytes(rows.BlobBytes(3)).value_or(Sha256()),
                         .created_at = FromColumn(rows.Int(4)),
                         .collected_at = FromColumn(rows.Int(5))});
  return collected;
}

}  // namespace

Result<std::uint64_t> CollectReleases(Database& db, const AppRow& app, const KeepPolicy& policy,
                                      const Change& change, const CollectBounds& bounds) {
  Transaction transaction = TRY(Transaction::Begin(db));
  const std::vector<Candidate> candidates = TRY(ListCandidates(db, app.id, policy, bounds));
  for (const Candidate& candidate : candidates) {
    TRY(RemoveRelease(db, candidate.id, change.when));
    TRY(AddAudit(db, change, "release_collected", app.name.ToString() + "@" + candidate.version));
  }
  TRY(transaction.Commit());
  return std::uint64_t{candidates.size()};
}

Result<std::vector<CollectedRow>> ListCollected(Database& db, AppId app, std::uint32_t limit) {
  return ReadCollected(TRY(db.Query(
      "SELECT id, version, attempt, digest, created_at, collected_at FROM collected_releases "
      "WHERE app_id = ? ORDER BY id DESC LIMIT ?",
      app.number, limit)));
}

Result<std::vector<CollectedRow>> ListCollectedVersion(Database& db, AppId app,
                                                       std::string_view version) {
  return ReadCollected(TRY(db.Query(
      "SELECT id, version, attempt, digest, created_at, collected_at FROM collected_releases "
      "WHERE app_id = ? AND version = ? ORDER BY id",
      app.number, version)));
}

Result<void> PinVersion(Database& db, const AppRow& app, std::string_view version, Pin pin,
                        const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  TRY(db.Run("UPDATE releases SET pinned = ? WHERE app_id = ? AND version = ?",
             pin == Pin::kSet ? 1 : 0, app.id.number, version));
  if (db.changes() == 0)
    return Error{ErrorCode::kNotFound, "no release of " + app.name.ToString() +
                                           " has the version " + std::string(version)};
  TRY(AddAudit(db, change, pin == Pin::kSet ? "release_pinned" : "release_unpinned",
               app.name.ToString() + "@" + std::string(version)));
  return transaction.Commit();
}

}  // namespace cloister
