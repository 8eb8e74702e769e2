#include "daemon/store/bytecode.h"

#include "daemon/store/compress.h"
#include "daemon/store/seals.h"

namespace cloister {
namespace {

// kSystem when `seal` is not that of `compressed` at this place.
Result<void> CheckSeal(const BytecodePlace& place, std::string_view compressed,
                       std::string_view seal) {
  if (SealOfBytecode(place, compressed).view() == seal)
    return {};
  return Error{ErrorCode::kSystem, "its bytecode is damaged: it is not what was compiled"};
}

}  // namespace

Result<std::vector<BytecodeName>> MissingBytecode(Database& db, ReleaseId release,
                                                  std::string_view magic) {
  Statement rows = TRY(db.Query(
      "SELECT f.sha256, f.path FROM release_files f JOIN releases r ON r.id = f.release_id "
      "WHERE f.release_id = ? AND f.path LIKE '%.py' AND NOT EXISTS ("
      "  SELECT 1 FROM bytecode b WHERE b.app_id = r.app_id AND b.sha256 = f.sha256"
      "  AND b.path = f.path AND b.magic = ?) "
      "ORDER BY f.path",
      release.number, magic));
  std::vector<BytecodeName> missing;
  while (TRY(rows.Step()))
    missing.push_back({.sha256 = Sha256::FromBytes(rows.BlobBytes(0)).value_or(Sha256()),
                       .path = std::string(rows.Text(1))});
  // LIKE knows no difference between .py and .PY; Python's import does.
  std::erase_if(missing, [](const BytecodeName& name) { return !name.path.ends_with(".py"); });
  return missing;
}

Result<void> StoreBytecode(Database& db, AppId app, const std::vector<Bytecode>& codes,
                           std::string_view magic) {
  Transaction transaction = TRY(Transaction::Begin(db));
  for (const Bytecode& code : codes) {
    const std::string compressed = Compress(code.code);
    const Sha256 seal = SealOfBytecode({.app = app, .name = code.name, .magic = magic}, compressed);
    TRY(
        db.Run("INSERT INTO bytecode (app_id, sha256, path, magic, code, seal) "
               "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
               app.number, Blob{code.name.sha256.view()}, code.name.path, magic, Blob{compressed},
               Blob{seal.view()}));
  }
  return transaction.Commit();
}

Result<std::string> LoadBytecode(Database& db, AppId app, const BytecodeName& name,
                                 std::string_view magic) {
  Statement row =
      TRY(db.Query("SELECT code, seal FROM bytecode "
                   "WHERE app_id = ? AND sha256 = ? AND path = ? AND magic = ?",
                   app.number, Blob{name.sha256.view()}, name.path, magic));
  if (!TRY(row.Step()))
    return std::string();
  TRY(CheckSeal({.app = app, .name = name, .magic = magic}, row.BlobBytes(0), row.BlobBytes(1)));
  return Decompress(row.BlobBytes(0), TRY(DecompressedSize(row.BlobBytes(0))));
}

Result<void> CheckBytecode(Database& db, AppId app, const BytecodeName& name) {
  Statement rows = TRY(db.Query(
      "SELECT magic, code, seal FROM bytecode WHERE app_id = ? AND sha256 = ? AND path = ?",
      app.number, Blob{name.sha256.view()}, name.path));
  while (TRY(rows.Step()))
    TRY(CheckSeal({.app = app, .name = name, .magic = rows.Text(0)}, rows.BlobBytes(1),
                  rows.BlobBytes(2)));
  return {};
}

}  // namespace cloister
