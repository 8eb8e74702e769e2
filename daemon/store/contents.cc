#include "daemon/store/contents.h"

#include <unordered_set>

#include "daemon/store/audit.h"
#include "daemon/store/compress.h"

namespace cloister {

Result<std::vector<Sha256>> MissingContents(Database& db, TenantId tenant,
                                            const std::vector<ContentName>& wanted) {
  std::vector<Sha256> missing;
  std::unordered_set<Sha256> asked;
  Statement found =
      TRY(db.Prepare("SELECT 1 FROM contents WHERE tenant_id = ? AND sha256 = ? AND size = ?"));
  for (const ContentName& content : wanted) {
    if (!asked.insert(content.sha256).second)
      continue;
    found.Reset();
    found.Bind(tenant.number);
    found.Bind(Blob{content.sha256.view()});
    found.Bind(content.size);
    if (!TRY(found.Step()))
      missing.push_back(content.sha256);
  }
  return missing;
}

Result<void> StoreContents(Database& db, const TenantRow& tenant,
                           const std::vector<VerifiedContent>& contents, const Change& change) {
  Transaction transaction = TRY(Transaction::Begin(db));
  for (const VerifiedContent& content : contents)
    TRY(
        db.Run("INSERT INTO contents (tenant_id, sha256, size, uploaded_at, compressed) "
               "VALUES (?, ?, ?, ?, ?) "
               "ON CONFLICT (tenant_id, sha256) DO UPDATE SET uploaded_at = excluded.uploaded_at, "
               "size = excluded.size, compressed = excluded.compressed",
               tenant.id.number, Blob{content.sha256.view()}, content.size, ToColumn(change.when),
               Blob{content.compressed}));
  TRY(AddAudit(db, change, "contents_stored", tenant.name,
               std::to_string(contents.size()) + " contents"));
  return transaction.Commit();
}

Result<std::string> OpenContent(std::string_view compressed, const ContentName& name) {
  Result<std::string> bytes = Decompress(compressed, name.size);
  if (!bytes.ok())
    return std::move(bytes).error().In("content " + name.sha256.Hex());
  if (Sha256Of(bytes.value()) != name.sha256)
    return Error{ErrorCode::kSystem,
                 "content " + name.sha256.Hex() + ": damaged: the stored bytes have another hash"};
  return bytes;
}

Result<std::string> LoadContent(Database& db, TenantId tenant, const Sha256& sha256) {
  Statement row =
      TRY(db.Query("SELECT size, compressed FROM contents WHERE tenant_id = ? AND sha256 = ?",
                   tenant.number, Blob{sha256.view()}));
  if (!TRY(row.Step()))
    return Error{ErrorCode::kNotFound, "content " + sha256.Hex() + " is not there"};
  return OpenContent(row.BlobBytes(1), {.sha256 = sha256, .size = row.UInt(0)});
}

Result<std::uint64_t> DropDamaged(Database& db, const AppRow& app, ReleaseId release,
                                  const Change& change) {
  std::vector<Sha256> damaged;
  {
    Statement rows = TRY(
        db.Query("SELECT DISTINCT sha256 FROM release_files WHERE release_id = ?", release.number));
    while (TRY(rows.Step())) {
      const std::optional<Sha256> sha256 = Sha256::FromBytes(rows.BlobBytes(0));
      if (sha256 && !LoadContent(db, app.tenant, *sha256).ok())
        damaged.push_back(*sha256);
    }
  }
  Transaction transaction = TRY(Transaction::Begin(db));
  for (const Sha256& sha256 : damaged)
    TRY(db.Run("DELETE FROM contents WHERE tenant_id = ? AND sha256 = ?", app.tenant.number,
               Blob{sha256.view()}));
  TRY(AddAudit(db, change, "contents_dropped", app.name.ToString(),
               std::to_string(damaged.size()) + " damaged"));
  TRY(transaction.Commit());
  return std::uint64_t{damaged.size()};
}

Result<std::uint64_t> SweepContents(Database& db, WallTime before, std::uint32_t limit) {
  TRY(
      db.Run("DELETE FROM contents WHERE rowid IN ("
             "  SELECT c.rowid FROM contents c WHERE c.uploaded_at < ? AND NOT EXISTS ("
             "    SELECT 1 FROM release_files f JOIN releases r ON r.id = f.release_id"
             "    JOIN apps a ON a.id = r.app_id"
             "    WHERE f.sha256 = c.sha256 AND a.tenant_id = c.tenant_id)"
             "  LIMIT ?)",
             ToColumn(before), limit));
  const std::uint64_t swept = db.changes();
  if (swept > 0)
    TRY(db.Run("PRAGMA incremental_vacuum(4096)"));
  return swept;
}

}  // namespace cloister
