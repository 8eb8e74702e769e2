// What ObjectStore knows of objects on a server: the way there, their parts, and what is left
// there.

#include <algorithm>

#include "apis/base/check.h"
#include "apis/persistence/object_store.h"

namespace cloister {
namespace {

// Made when something goes to a server for the first time: only then an earlier version of Cloister
// would do harm. `file`: of the writer; empty: there was a row. `gone`: the server is to remove it.
constexpr const char* kUploadsSchema =
    "CREATE TABLE IF NOT EXISTS uploads ("
    "  mark BLOB NOT NULL PRIMARY KEY CHECK (length(mark) = 16),"
    "  id BLOB NOT NULL CHECK (length(id) = 32),"
    "  size INTEGER NOT NULL,"
    "  file TEXT NOT NULL,"
    "  gone INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA user_version = 2;";
constexpr std::size_t kHash = 32;
constexpr const char* kChunksIncomplete = "the hashes of its parts are not complete";

bool IsComplete(std::uint64_t size, std::string_view chunks) {
  return chunks.size() == (size + kObjectChunk - 1) / kObjectChunk * kHash + kRemoteMark;
}

}  // namespace

Result<bool> ObjectStore::HasUploads() {
  Statement row = TRY(db_.Prepare("SELECT 1 FROM sqlite_master WHERE name = 'uploads'"));
  return row.Step();
}

Result<UploadPlan> ObjectStore::BeginUpload(ObjectWriter& object, const PersistenceQuota& quota) {
  CHECK(transaction_.has_value());
  if (TRY(Has(object.id())))
    return UploadPlan{.kind = UploadPlan::Kind::kThere, .id = object.id()};
  TRY(db_.Execute(kUploadsSchema));
  ObjectTotals with_uploads = totals_;
  std::uint64_t left = 0;
  {
    Statement row =
        TRY(db_.Prepare("SELECT coalesce(sum(size * (gone = 0)), 0), coalesce(sum(gone = 0), 0),"
                        " coalesce(sum(size * (gone <> 0)), 0) FROM uploads"));
    if (TRY(row.Step())) {
      with_uploads.bytes += row.UInt(0);
      with_uploads.objects += row.UInt(1);
      left = row.UInt(2);
    }
  }
  if (const auto refused = RefuseObject(with_uploads, object.size(), quota))
    return UploadPlan{.kind = UploadPlan::Kind::kRefused, .id = object.id(), .refused = refused};
  // An app that writes and deletes must not fill a server that removes nothing.
  if (left > quota.bytes_max.count)
    return Error{ErrorCode::kUnavailable, "what was deleted is still on the server of objects"};
  object.SetMark(NewRemoteMark());
  TRY(db_.Run("INSERT INTO uploads (mark, id, size, file, gone) VALUES (?, ?, ?, ?, 0)",
              Blob{object.mark()}, Blob{object.id().view()}, object.size(), object.FileName()));
  return UploadPlan{.id = object.id()};
}

Result<bool> ObjectStore::TakeUpload(const ObjectWriter& object) {
  if (object.mark().empty())
    return false;
  TRY(db_.Run("DELETE FROM uploads WHERE mark = ? AND gone = 0", Blob{object.mark()}));
  return db_.changes() == 1;
}

Result<std::vector<RemoteObject>> ObjectStore::LeftOnServer(std::size_t most) {
  CHECK(transaction_.has_value());
  std::vector<RemoteObject> left;
  if (!TRY(HasUploads()))
    return left;
  std::vector<std::string> dead;
  {
    Statement row = TRY(db_.Prepare("SELECT mark, file FROM uploads WHERE gone = 0"));
    while (TRY(row.Step()))
      if (!IsObjectBeingWritten(directory_, std::string(row.Text(1))))
        dead.emplace_back(row.BlobBytes(0));
  }
  for (const std::string& mark : dead)
    TRY(db_.Run("UPDATE uploads SET gone = 1 WHERE mark = ?", Blob{mark}));
  Statement row = TRY(db_.Query("SELECT id, mark, file FROM uploads WHERE gone = 1 LIMIT ?", most));
  while (TRY(row.Step())) {
    const std::optional<Sha256> id = Sha256::FromBytes(row.BlobBytes(0));
    if (!id)
      return Error{ErrorCode::kSystem, "objects.db: an id is not one"};
    left.push_back(
        {.id = *id, .mark = std::string(row.BlobBytes(1)), .unfinished = !row.Text(2).empty()});
  }
  return left;
}

Result<void> ObjectStore::Forget(const std::vector<RemoteObject>& removed) {
  CHECK(transaction_.has_value());
  for (const RemoteObject& object : removed)
    TRY(db_.Run("DELETE FROM uploads WHERE mark = ? AND gone = 1", Blob{object.mark}));
  return {};
}

Result<void> ObjectStore::LeaveAll() {
  CHECK(transaction_.has_value());
  if (!TRY(HasUploads()))
    return {};
  TRY(db_.Run("UPDATE uploads SET gone = 1"));
  TRY(
      db_.Run("INSERT INTO uploads (mark, id, size, file, gone) "
              "SELECT substr(chunks, -16), id, size, '', 1 FROM objects "
              "WHERE chunks IS NOT NULL AND length(chunks) % 32 = 16"));
  TRY(db_.Run("DELETE FROM names"));
  return db_.Run("DELETE FROM objects WHERE chunks IS NOT NULL AND length(chunks) % 32 = 16");
}

Result<ObjectPiece> ObjectStore::ReadPart(const Sha256& id, std::uint64_t size,
                                          std::string_view chunks, std::uint64_t offset,
                                          std::uint32_t count) {
  ObjectPiece piece{.state = ObjectPiece::State::kWhole, .size = size};
  if (!IsComplete(size, chunks)) {
    piece.state = ObjectPiece::State::kDamaged;
    piece.damage = kChunksIncomplete;
    return piece;
  }
  if (offset >= size || count == 0)
    return piece;
  const std::uint64_t read = std::min<std::uint64_t>(count, size - offset);
  const std::uint64_t first = offset / kObjectChunk;
  const std::uint64_t last = (offset + read - 1) / kObjectChunk;
  piece.state = ObjectPiece::State::kRemote;
  piece.remote =
      RemotePart{.id = id,
                 .mark = std::string(RemoteMarkIn(chunks)),
                 .size = size,
                 .offset = offset,
                 .count = read,
                 .hashes = std::string(chunks.substr(first * kHash, (last - first + 1) * kHash))};
  return piece;
}

Result<void> ObjectStore::CheckRemote(const Sha256& id, std::uint64_t size, std::string_view chunks,
                                      const RemoteCheck& remote) {
  if (!IsComplete(size, chunks))
    return Error{ErrorCode::kProtocol, kChunksIncomplete};
  if (!remote)
    return Error{ErrorCode::kUnavailable, "a server has objects, and the settings name none"};
  return remote({.id = id,
                 .mark = std::string(RemoteMarkIn(chunks)),
                 .size = size,
                 .offset = 0,
                 .count = size,
                 .hashes = std::string(chunks.substr(0, chunks.size() - kRemoteMark))});
}

}  // namespace cloister
