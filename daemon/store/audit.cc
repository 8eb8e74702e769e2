#include "daemon/store/audit.h"

#include <algorithm>

namespace cloister {

std::int64_t ToColumn(WallTime time) {
  return time.time_since_epoch().count();
}

WallTime FromColumn(std::int64_t micros) {
  return WallTime(Micros(micros));
}

Result<void> AddAudit(Database& db, const Change& change, std::string_view action,
                      std::string_view subject, std::string_view detail) {
  return db.Run("INSERT INTO audit (at, who, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
                ToColumn(change.when), change.who, action, subject, detail);
}

Result<std::vector<AuditRow>> ListAudit(Database& db, std::uint32_t limit) {
  Statement rows = TRY(db.Query(
      "SELECT id, at, who, action, subject, detail FROM audit ORDER BY id DESC LIMIT ?", limit));
  std::vector<AuditRow> audit;
  while (TRY(rows.Step()))
    audit.push_back({.id = rows.UInt(0),
                     .at = FromColumn(rows.Int(1)),
                     .who = std::string(rows.Text(2)),
                     .action = std::string(rows.Text(3)),
                     .subject = std::string(rows.Text(4)),
                     .detail = std::string(rows.Text(5))});
  std::reverse(audit.begin(), audit.end());
  return audit;
}

Result<bool> TellsOfCreation(Database& db, const ReleaseRow& release) {
  const std::string digest = release.digest.Hex();
  // CROSS JOIN keeps the order: the subject first, then its index.
  Statement row =
      TRY(db.Query("SELECT 1 FROM apps a CROSS JOIN tenants t ON t.id = a.tenant_id "
                   "CROSS JOIN audit u ON u.subject = t.name || '/' || a.name || '@' || ? "
                   "WHERE a.id = ? AND u.action = 'release_created' AND u.detail = ? AND u.at = ?",
                   release.version, release.app.number, digest, ToColumn(release.created_at)));
  return row.Step();
}

Result<bool> TellsOfServing(Database& db, const ReleaseRow& release) {
  const bool is_live = release.state == ReleaseState::kLive;
  if (is_live != release.live)
    return false;
  if (!is_live && release.state != ReleaseState::kCanary)
    return true;
  // Subjects are TENANT/APP@VERSION; 'A' follows '@'.
  Statement row = TRY(db.Query(
      "SELECT ?1 = (SELECT substr(u.subject, length(s.app) + 2) FROM audit u "
      "  WHERE u.action IN ('release_live', 'release_canary') AND u.action = ?2 "
      "  AND u.subject > s.app || '@' AND u.subject < s.app || 'A' ORDER BY u.id DESC LIMIT 1) "
      "FROM (SELECT t.name || '/' || a.name AS app FROM apps a "
      "      JOIN tenants t ON t.id = a.tenant_id WHERE a.id = ?3) s",
      release.version, is_live ? "release_live" : "release_canary", release.app.number));
  return TRY(row.Step()) && !row.IsNull(0) && row.Int(0) == 1;
}

}  // namespace cloister
