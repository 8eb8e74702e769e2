#include "apis/persistence/object_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "apis/base/check.h"
#include "apis/base/directories.h"

namespace cloister {
namespace {

constexpr std::int64_t kSchemaVersion = 2;
// `data`: of an object that is a row. `chunks`: of a larger one, a hash of 32 bytes for each of its
// chunks; then, if a server has it, its mark of 16 bytes.
constexpr const char* kSchema =
    "CREATE TABLE objects ("
    "  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),"
    "  size INTEGER NOT NULL CHECK (size >= 0),"
    "  created_ms INTEGER NOT NULL,"
    "  chunks BLOB,"
    "  data BLOB,"
    "  CHECK ((chunks IS NULL) <> (data IS NULL)));"
    "CREATE TABLE names ("
    "  name BLOB NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 1024),"
    "  object BLOB NOT NULL REFERENCES objects (id)) WITHOUT ROWID;"
    "CREATE INDEX names_of_object ON names (object);"
    "CREATE TABLE totals (bytes INTEGER NOT NULL, objects INTEGER NOT NULL, names INTEGER NOT "
    "NULL);"
    "INSERT INTO totals VALUES (0, 0, 0);"
    "PRAGMA user_version = 1;";

constexpr const char* kNotAsWritten = "its bytes are not those that were written";
// A file goes after its row: what was deleted, and perhaps written again, after its row was read
// looks damaged. So who finds damage looks again.
constexpr int kLooksMax = 5;
// What checking a small object costs beside its bytes, as bytes.
constexpr std::uint64_t kRowCost = 1024;

std::string DatabasePath(const std::string& directory) {
  return directory + "/objects.db";
}

Blob BlobOf(const Sha256& id) {
  return Blob{id.view()};
}

Result<Sha256> IdIn(const Statement& row, int column) {
  const std::optional<Sha256> id = Sha256::FromBytes(row.BlobBytes(column));
  if (!id)
    return Error{ErrorCode::kSystem, "objects.db: an id is not one"};
  return *id;
}

}  // namespace

bool ObjectStore::Exists(const std::string& directory) {
  return ::access(DatabasePath(directory).c_str(), F_OK) == 0;
}

Result<std::unique_ptr<ObjectStore>> ObjectStore::Open(const std::string& directory, Use use,
                                                       Leftovers leftovers) {
  const bool writes = use == Use::kWrite;
  if (writes)
    TRY(MakeObjectDirectories(directory));
  Database db = TRY(Database::Open(
      DatabasePath(directory),
      {.access = writes ? Database::Access::kReadWrite : Database::Access::kReadOnly}));
  std::unique_ptr<ObjectStore> store(new ObjectStore(directory, std::move(db)));
  if (writes) {
    TRY(store->Migrate());
    TRY(SyncDirectory(directory));
  }
  if (leftovers == Leftovers::kSweep)
    TRY(store->Sweep());
  if (writes && TRY(store->HasUploads())) {
    Statement any = TRY(store->db_.Prepare("SELECT 1 FROM uploads LIMIT 1"));
    store->left_ = TRY(any.Step());
  }
  return store;
}

Result<void> ObjectStore::Migrate() {
  Transaction transaction = TRY(Transaction::Begin(db_));
  std::int64_t version = 0;
  {
    Statement row = TRY(db_.Prepare("PRAGMA user_version"));
    if (TRY(row.Step()))
      version = row.Int(0);
  }
  if (version > kSchemaVersion)
    return Error{ErrorCode::kSystem, "objects.db is of a later version of Cloister"};
  if (version == 0)
    TRY(db_.Execute(kSchema));
  return transaction.Commit();
}

Result<bool> ObjectStore::HasFile(const Sha256& id) {
  Statement row = TRY(db_.Query(
      "SELECT 1 FROM objects WHERE id = ? AND chunks IS NOT NULL AND length(chunks) % 32 = 0",
      BlobOf(id)));
  return row.Step();
}

Result<void> ObjectStore::Sweep() {
  TRY(SweepTemporaryObjects(directory_));
  // Under the write lock: nobody is between a file and its row.
  Transaction transaction = TRY(Transaction::Begin(db_));
  TRY(SweepObjects(directory_, [this](const Sha256& id) { return HasFile(id); }));
  return transaction.Commit();
}

Result<ObjectTotals> ObjectStore::ReadTotals() {
  Statement row = TRY(db_.Prepare("SELECT bytes, objects, names FROM totals"));
  if (!TRY(row.Step()))
    return Error{ErrorCode::kSystem, "objects.db: its totals are missing"};
  return ObjectTotals{.bytes = row.UInt(0), .objects = row.UInt(1), .names = row.UInt(2)};
}

Result<ObjectTotals> ObjectStore::Totals() {
  if (transaction_)
    return totals_;
  return ReadTotals();
}

Result<void> ObjectStore::Begin() {
  CHECK(!transaction_);
  transaction_.emplace(TRY(Transaction::Begin(db_)));
  Result<ObjectTotals> totals = ReadTotals();
  if (!totals.ok()) {
    Rollback();
    return std::move(totals).error();
  }
  totals_ = totals.value();
  totals_changed_ = false;
  return {};
}

Result<void> ObjectStore::Commit() {
  CHECK(transaction_.has_value());
  Result<void> done;
  if (totals_changed_)
    done = db_.Run("UPDATE totals SET bytes = ?, objects = ?, names = ?", totals_.bytes,
                   totals_.objects, totals_.names);
  if (done.ok())
    done = transaction_->Commit();
  if (!done.ok()) {
    Rollback();
    return done;
  }
  transaction_.reset();
  linked_.clear();
  RemoveFiles(std::exchange(removed_, {}));
  return {};
}

void ObjectStore::Rollback() {
  transaction_.reset();
  removed_.clear();
  RemoveFiles(std::exchange(linked_, {}));
}

void ObjectStore::RemoveFiles(const std::vector<Sha256>& ids) {
  if (ids.empty())
    return;
  // Another process may have stored the same again: the lock keeps it from doing so meanwhile. What
  // cannot be removed now goes with the next sweep.
  Result<Transaction> transaction = Transaction::Begin(db_);
  if (!transaction.ok())
    return;
  for (const Sha256& id : ids)
    if (const Result<bool> wanted = HasFile(id); wanted.ok() && !wanted.value())
      ::unlink(ObjectPath(directory_, id).c_str());
  (void)transaction.value().Commit().ok();
}

Result<bool> ObjectStore::Has(const Sha256& id) {
  Statement row = TRY(db_.Query("SELECT 1 FROM objects WHERE id = ?", BlobOf(id)));
  return row.Step();
}

Result<bool> ObjectStore::IsNamed(const Sha256& id) {
  Statement row = TRY(db_.Query("SELECT 1 FROM names WHERE object = ? LIMIT 1", BlobOf(id)));
  return row.Step();
}

Result<void> ObjectStore::Link(ObjectWriter& object) {
  const std::string path = ObjectPath(directory_, object.id());
  const std::string folder = path.substr(0, path.rfind('/'));
  if (::mkdir(folder.c_str(), 0700) == 0)
    TRY(SyncDirectory(directory_ + "/objects"));
  else if (errno != EEXIST)
    return SystemError("creating " + folder);
  linked_.push_back(object.id());
  TRY(object.MoveTo(path));
  return SyncDirectory(folder);
}

Result<std::optional<QuotaRefusal>> ObjectStore::Write(ObjectWriter& object, std::uint64_t now_ms,
                                                       const PersistenceQuota& quota) {
  CHECK(transaction_.has_value());
  std::optional<QuotaRefusal> refused;
  const bool is_there = TRY(Has(object.id()));
  if (!is_there)
    refused = RefuseObject(totals_, object.size(), quota);
  if (is_there || refused) {
    // What was sent for nothing.
    left_ = left_ || !object.mark().empty();
    return refused;
  }
  std::optional<Blob> chunks;
  std::optional<Blob> data;
  std::string marked;
  if (object.in_file() && object.goal() == ObjectWriter::Goal::kServer) {
    if (!TRY(TakeUpload(object)))
      return Error{ErrorCode::kUnavailable, "an object that was sent was given up meanwhile"};
    marked = object.chunks() + object.mark();
    chunks = Blob{marked};
  } else if (object.in_file()) {
    TRY(Link(object));
    chunks = Blob{object.chunks()};
  } else {
    data = Blob{object.memory()};
  }
  TRY(db_.Run("INSERT INTO objects (id, size, created_ms, chunks, data) VALUES (?, ?, ?, ?, ?)",
              BlobOf(object.id()), object.size(), now_ms, chunks, data));
  totals_.bytes += object.size();
  ++totals_.objects;
  totals_changed_ = true;
  return refused;
}

Result<ObjectPiece> ObjectStore::Read(const Sha256& id, std::uint64_t offset, std::uint32_t count) {
  ObjectPiece piece;
  for (int i = 0; i < kLooksMax; ++i) {
    piece = TRY(ReadOnce(id, offset, count));
    if (piece.state != ObjectPiece::State::kDamaged)
      break;
  }
  return piece;
}

Result<ObjectPiece> ObjectStore::ReadOnce(const Sha256& id, std::uint64_t offset,
                                          std::uint32_t count) {
  ObjectPiece piece;
  Statement row = TRY(db_.Query("SELECT size, chunks, data FROM objects WHERE id = ?", BlobOf(id)));
  if (!TRY(row.Step()))
    return piece;
  piece.state = ObjectPiece::State::kWhole;
  piece.size = row.UInt(0);
  count = std::min(count, kObjectPieceMax);
  if (row.IsNull(1)) {
    const std::string_view data = row.BlobBytes(2);
    if (data.size() != piece.size || Sha256Of(data) != id) {
      piece.state = ObjectPiece::State::kDamaged;
      piece.damage = kNotAsWritten;
    } else if (offset < data.size()) {
      piece.data = data.substr(offset, count);
    }
    return piece;
  }
  if (!RemoteMarkIn(row.BlobBytes(1)).empty())
    return ReadPart(id, piece.size, row.BlobBytes(1), offset, count);
  Result<std::string> read = files_.Read(
      directory_, {.id = id, .size = piece.size, .chunks = row.BlobBytes(1)}, offset, count);
  if (read.ok()) {
    piece.data = std::move(read).value();
  } else if (read.error().code == ErrorCode::kProtocol) {
    piece.state = ObjectPiece::State::kDamaged;
    piece.damage = read.error().message;
  } else {
    return std::move(read).error();
  }
  return piece;
}

Result<std::optional<ObjectInfo>> ObjectStore::Stat(const Sha256& id) {
  std::optional<ObjectInfo> info;
  Statement row = TRY(db_.Query("SELECT size, created_ms FROM objects WHERE id = ?", BlobOf(id)));
  if (TRY(row.Step()))
    info = ObjectInfo{.size = row.UInt(0), .created_ms = row.UInt(1)};
  return info;
}

Result<void> ObjectStore::DeleteRow(const Sha256& id) {
  std::uint64_t size = 0;
  bool in_file = false;
  std::string mark;
  {
    Statement row = TRY(db_.Query("SELECT size, chunks FROM objects WHERE id = ?", BlobOf(id)));
    if (!TRY(row.Step()))
      return {};
    size = row.UInt(0);
    mark = RemoteMarkIn(row.BlobBytes(1));
    in_file = !row.IsNull(1) && mark.empty();
  }
  TRY(db_.Run("DELETE FROM objects WHERE id = ?", BlobOf(id)));
  if (in_file)
    removed_.push_back(id);
  if (!mark.empty()) {
    TRY(db_.Run("INSERT INTO uploads (mark, id, size, file, gone) VALUES (?, ?, ?, '', 1)",
                Blob{mark}, BlobOf(id), size));
    left_ = true;
  }
  totals_.bytes -= std::min(totals_.bytes, size);
  totals_.objects -= std::min<std::uint64_t>(totals_.objects, 1);
  totals_changed_ = true;
  return {};
}

Result<ObjectDeletion> ObjectStore::Delete(const Sha256& id) {
  CHECK(transaction_.has_value());
  if (!TRY(Has(id)))
    return ObjectDeletion::kMissing;
  if (TRY(IsNamed(id)))
    return ObjectDeletion::kNamed;
  TRY(DeleteRow(id));
  return ObjectDeletion::kDeleted;
}

Result<NameWritten> ObjectStore::Put(const NameWish& wish, const PersistenceQuota& quota) {
  CHECK(transaction_.has_value());
  NameWritten result;
  const std::optional<Sha256> current = TRY(Get(wish.name));
  if (wish.condition == NameCondition::kExpected && current != wish.expected) {
    result.outcome = NamePutOutcome::kChanged;
    return result;
  }
  if (!TRY(Has(wish.id))) {
    result.outcome = NamePutOutcome::kNoObject;
    return result;
  }
  if (current) {
    TRY(db_.Run("UPDATE names SET object = ? WHERE name = ?", BlobOf(wish.id), Blob{wish.name}));
    return result;
  }
  result.refused = RefuseName(totals_, quota);
  if (result.refused)
    return result;
  TRY(db_.Run("INSERT INTO names (name, object) VALUES (?, ?)", Blob{wish.name}, BlobOf(wish.id)));
  ++totals_.names;
  totals_changed_ = true;
  return result;
}

Result<std::optional<Sha256>> ObjectStore::Get(std::string_view name) {
  std::optional<Sha256> id;
  Statement row = TRY(db_.Query("SELECT object FROM names WHERE name = ?", Blob{name}));
  if (TRY(row.Step()))
    id = TRY(IdIn(row, 0));
  return id;
}

Result<bool> ObjectStore::DeleteName(std::string_view name, bool with_object) {
  CHECK(transaction_.has_value());
  const std::optional<Sha256> id = TRY(Get(name));
  if (!id)
    return false;
  TRY(db_.Run("DELETE FROM names WHERE name = ?", Blob{name}));
  totals_.names -= std::min<std::uint64_t>(totals_.names, 1);
  totals_changed_ = true;
  if (with_object && !TRY(IsNamed(*id)))
    TRY(DeleteRow(*id));
  return true;
}

Result<NamePage> ObjectStore::ListNames(std::string_view prefix, std::string_view after,
                                        std::size_t limit) {
  NamePage page;
  const std::string_view from = std::max(prefix, after);
  Statement row = TRY(
      db_.Query("SELECT name, object FROM names WHERE name >= ? AND name > ? ORDER BY name LIMIT ?",
                Blob{from}, Blob{after}, limit + 1));
  while (TRY(row.Step())) {
    const std::string_view name = row.BlobBytes(0);
    if (!name.starts_with(prefix))
      break;
    page.more = page.names.size() == limit;
    if (page.more)
      break;
    page.names.emplace_back(name, TRY(IdIn(row, 1)));
  }
  return page;
}

Result<ObjectPage> ObjectStore::ListObjects(const std::optional<Sha256>& after, std::size_t limit) {
  ObjectPage page;
  Statement row = TRY(db_.Query("SELECT id FROM objects WHERE id > ? ORDER BY id LIMIT ?",
                                Blob{after ? after->view() : std::string_view()}, limit + 1));
  while (TRY(row.Step())) {
    page.more = page.ids.size() == limit;
    if (page.more)
      break;
    page.ids.push_back(TRY(IdIn(row, 0)));
  }
  return page;
}

Result<std::vector<std::string>> ObjectStore::NamesOf(const Sha256& id) {
  std::vector<std::string> names;
  Statement row = TRY(
      db_.Query("SELECT name FROM names WHERE object = ? LIMIT ?", BlobOf(id), kObjectListMax + 1));
  while (TRY(row.Step()))
    names.emplace_back(row.BlobBytes(0));
  return names;
}

Result<std::string> ObjectStore::FindDamage(const Sha256& id, const RemoteCheck& remote) {
  std::uint64_t size = 0;
  std::string chunks;
  {
    Statement row =
        TRY(db_.Query("SELECT size, chunks, data FROM objects WHERE id = ?", BlobOf(id)));
    if (!TRY(row.Step()))
      return std::string();
    size = row.UInt(0);
    if (row.IsNull(1)) {
      const std::string_view data = row.BlobBytes(2);
      const bool sound = data.size() == size && Sha256Of(data) == id;
      return std::string(sound ? "" : kNotAsWritten);
    }
    chunks = row.BlobBytes(1);
  }
  const Result<void> checked =
      RemoteMarkIn(chunks).empty()
          ? CheckObjectFile(directory_, {.id = id, .size = size, .chunks = chunks})
          : CheckRemote(id, size, chunks, remote);
  if (checked.ok())
    return std::string();
  if (checked.error().code != ErrorCode::kProtocol)
    return Error(checked.error());
  return checked.error().message;
}

Result<std::optional<Sha256>> ObjectStore::Verify(const std::optional<Sha256>& after,
                                                  std::uint64_t bytes, ObjectVerification& report,
                                                  const RemoteCheck& remote) {
  // Each object at its own moment, as it may be deleted meanwhile.
  std::optional<Sha256> last = after;
  std::uint64_t read = 0;
  while (read < bytes) {
    const ObjectPage page = TRY(ListObjects(last, 1));
    if (page.ids.empty())
      return std::optional<Sha256>();
    last = page.ids.front();
    const std::optional<ObjectInfo> info = TRY(Stat(*last));
    read += (info ? info->size : 0) + kRowCost;
    ++report.objects;
    Result<std::string> damage = FindDamage(*last, remote);
    for (int looks = 1; looks < kLooksMax && damage.ok() && !damage.value().empty(); ++looks)
      damage = FindDamage(*last, remote);
    if (std::string what = TRY(std::move(damage)); !what.empty())
      report.Note({.id = last, .what = std::move(what)});
  }
  return last;
}

Result<void> ObjectStore::VerifyTotals(ObjectVerification& report) {
  const Transaction moment = TRY(Transaction::BeginRead(db_));
  const ObjectTotals totals = TRY(ReadTotals());
  ObjectTotals counted;
  Statement objects = TRY(db_.Prepare("SELECT coalesce(sum(size), 0), count(*) FROM objects"));
  if (TRY(objects.Step()))
    counted = {.bytes = objects.UInt(0), .objects = objects.UInt(1)};
  Statement names = TRY(db_.Prepare("SELECT count(*) FROM names"));
  if (TRY(names.Step()))
    counted.names = names.UInt(0);
  if (counted != totals)
    report.Note({.id = {}, .what = "the totals are not those of its objects and names"});
  return {};
}

}  // namespace cloister
