#include "apis/backends/sqlite.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <sqlite3.h>

#include "apis/base/check.h"
#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

// In the order in which they must run: auto_vacuum has no effect once a table is there.
constexpr const char* kWriterPragmas =
    "PRAGMA auto_vacuum=INCREMENTAL;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA foreign_keys=ON;"
    "PRAGMA temp_store=MEMORY;"
    "PRAGMA journal_size_limit=67108864;"
    "PRAGMA cell_size_check=ON;";
constexpr const char* kReaderPragmas = "PRAGMA query_only=ON; PRAGMA temp_store=MEMORY;";

ErrorCode CodeOf(int extended, int error_number) {
  switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
      return ErrorCode::kAlreadyExists;
    default:
      break;
  }
  const bool disk_is_full =
      error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
  switch (extended & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::kStorageFull;
    case SQLITE_IOERR:
      return disk_is_full ? ErrorCode::kStorageFull : ErrorCode::kSystem;
    case SQLITE_CONSTRAINT:
      return ErrorCode::kInvalidArgument;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kUnavailable;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorCode::kPermissionDenied;
    default:
      return ErrorCode::kSystem;
  }
}

// SQLite makes files with the umask's mode; what the state holds is for its owner alone.
Result<void> CreatePrivateFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid())
    return SystemError("creating " + path);
  return {};
}

}  // namespace

struct Statement::Cached {
  sqlite3_stmt* statement = nullptr;
  bool in_use = false;

  Cached() = default;
  Cached(const Cached&) = delete;
  Cached& operator=(const Cached&) = delete;
  ~Cached() { sqlite3_finalize(statement); }
};

Statement::Statement(Statement&& other) noexcept
    : own_(std::move(other.own_)),
      cached_(std::exchange(other.cached_, nullptr)),
      next_parameter_(other.next_parameter_) {}

void Statement::Deleter::operator()(Cached* cached) const {
  const std::unique_ptr<Cached> last(cached);
}

Statement::~Statement() {
  if (cached_ == nullptr || own_ != nullptr)
    return;
  Reset();
  cached_->in_use = false;
}

void Statement::Reset() {
  sqlite3_reset(cached_->statement);
  sqlite3_clear_bindings(cached_->statement);
  next_parameter_ = 1;
}

void Statement::BindInt(std::int64_t value) {
  CHECK(sqlite3_bind_int64(cached_->statement, next_parameter_++, value) == SQLITE_OK);
}

void Statement::Bind(std::string_view text) {
  // An empty view may have no data, which SQLite would take for NULL.
  const char* data = text.empty() ? "" : text.data();
  CHECK(sqlite3_bind_text64(cached_->statement, next_parameter_++, data, text.size(), SQLITE_STATIC,
                            SQLITE_UTF8) == SQLITE_OK);
}

void Statement::Bind(Blob blob) {
  const char* data = blob.bytes.empty() ? "" : blob.bytes.data();
  CHECK(sqlite3_bind_blob64(cached_->statement, next_parameter_++, data, blob.bytes.size(),
                            SQLITE_STATIC) == SQLITE_OK);
}

void Statement::Bind(std::nullopt_t) {
  CHECK(sqlite3_bind_null(cached_->statement, next_parameter_++) == SQLITE_OK);
}

Result<bool> Statement::Step() {
  errno = 0;
  const int outcome = sqlite3_step(cached_->statement);
  // SQLite itself keeps the number of failed opens only.
  const int error_number = errno;
  if (outcome == SQLITE_ROW)
    return true;
  if (outcome == SQLITE_DONE)
    return false;
  sqlite3* db = sqlite3_db_handle(cached_->statement);
  Error error{CodeOf(sqlite3_extended_errcode(db), error_number),
              std::string("database: ") + sqlite3_errmsg(db)};
  sqlite3_reset(cached_->statement);
  return error;
}

Result<void> Statement::Finish() {
  while (TRY(Step())) {
  }
  return {};
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(cached_->statement, column) == SQLITE_NULL;
}

std::int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(cached_->statement, column);
}

std::string_view Statement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(cached_->statement, column);
  if (text == nullptr)
    return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<std::size_t>(sqlite3_column_bytes(cached_->statement, column))};
}

std::string_view Statement::BlobBytes(int column) const {
  const void* bytes = sqlite3_column_blob(cached_->statement, column);
  if (bytes == nullptr)
    return {};
  return {static_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(cached_->statement, column))};
}

void Database::Closer::operator()(sqlite3* db) const {
  CHECK(sqlite3_close(db) == SQLITE_OK);
}

Database::Database(sqlite3* db) : db_(db) {}
Database::Database(Database&& other) noexcept = default;
Database::~Database() = default;

Database& Database::operator=(Database&& other) noexcept {
  statements_.clear();  // before their connection
  db_ = std::move(other.db_);
  statements_ = std::move(other.statements_);
  return *this;
}

Result<Database> Database::Open(const std::string& path, const Options& options) {
  const bool writes = options.access == Access::kReadWrite;
  if (writes)
    TRY(CreatePrivateFile(path));
  sqlite3* handle = nullptr;
  // NOMUTEX: one thread at a time is the caller's promise.
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW |
                    (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
  const int opened = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database db(handle);
  if (opened != SQLITE_OK)
    return db.LastError("opening " + path);
  sqlite3_busy_timeout(handle, static_cast<int>(options.busy_timeout.count()));
  CHECK(sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr) == SQLITE_OK);
  CHECK(sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr) == SQLITE_OK);
  std::string pragmas = writes ? kWriterPragmas : kReaderPragmas;
  if (options.pages_max != 0)
    pragmas += "PRAGMA max_page_count=" + std::to_string(options.pages_max) + ";";
  Result<void> configured = db.Execute(pragmas);
  if (!configured.ok())
    return std::move(configured).error().In("opening " + path);
  return db;
}

Error Database::LastError(std::string_view doing) const {
  return Error{CodeOf(sqlite3_extended_errcode(db_.get()), sqlite3_system_errno(db_.get())),
               std::string(doing) + ": " + sqlite3_errmsg(db_.get())};
}

Result<Statement> Database::Prepare(std::string_view sql) {
  std::string text(sql);
  Statement::OwnCached& slot = statements_[text];
  if (slot != nullptr && !slot->in_use) {
    slot->in_use = true;
    return Statement(*slot);
  }
  Statement::OwnCached cached(std::make_unique<Statement::Cached>().release());
  if (sqlite3_prepare_v3(db_.get(), text.data(), static_cast<int>(text.size()),
                         SQLITE_PREPARE_PERSISTENT, &cached->statement, nullptr) != SQLITE_OK) {
    if (slot == nullptr)
      statements_.erase(text);
    return LastError("preparing '" + text + "'");
  }
  if (slot != nullptr)
    return Statement(std::move(cached));
  cached->in_use = true;
  slot = std::move(cached);
  return Statement(*slot);
}

Result<void> Database::Execute(const std::string& sql) {
  if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return LastError("database");
  return {};
}

std::uint64_t Database::last_row_id() const {
  return static_cast<std::uint64_t>(sqlite3_last_insert_rowid(db_.get()));
}

std::uint64_t Database::changes() const {
  return static_cast<std::uint64_t>(sqlite3_changes64(db_.get()));
}

Result<Transaction> Transaction::Begin(Database& db) {
  TRY(db.Run("BEGIN IMMEDIATE"));
  return Transaction(db);
}

Result<Transaction> Transaction::BeginRead(Database& db) {
  TRY(db.Run("BEGIN DEFERRED"));
  return Transaction(db);
}

Transaction::~Transaction() {
  if (db_ == nullptr)
    return;
  sqlite3* db = db_->db_.get();
  const int last_error = sqlite3_extended_errcode(db);
  const bool full = last_error == SQLITE_FULL || last_error == SQLITE_IOERR_WRITE;
  // Some errors (a full disk among them) have rolled back already.
  if (sqlite3_get_autocommit(db) == 0)
    (void)db_->Run("ROLLBACK").ok();
  // The write-ahead log keeps the room of what was rolled back; on a full disk others need it.
  if (full)
    (void)db_->Run("PRAGMA wal_checkpoint(TRUNCATE)").ok();
}

Result<void> Transaction::Commit() {
  CHECK(db_ != nullptr);
  TRY(db_->Run("COMMIT"));
  db_ = nullptr;
  return {};
}

Result<void> CopyDatabase(const std::string& from, const std::string& to) {
  const UniqueFd made(::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!made.valid())
    return SystemError("creating " + to);
  using Handle = std::unique_ptr<sqlite3, decltype([](sqlite3* db) { sqlite3_close_v2(db); })>;
  const auto open = [](const std::string& path, int flags, Handle& handle) -> Result<void> {
    sqlite3* db = nullptr;
    const int outcome = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
    handle.reset(db);
    if (outcome != SQLITE_OK)
      return Error{CodeOf(outcome, errno), "opening " + path + ": " + sqlite3_errstr(outcome)};
    sqlite3_busy_timeout(db, 5000);
    return {};
  };
  Handle source;
  Handle target;
  TRY(open(from, SQLITE_OPEN_READONLY, source));
  TRY(open(to, SQLITE_OPEN_READWRITE, target));
  errno = 0;
  // In one step: all of it is of one transaction.
  sqlite3_backup* backup = sqlite3_backup_init(target.get(), "main", source.get(), "main");
  if (backup != nullptr)
    (void)sqlite3_backup_step(backup, -1);
  const int error_number = errno;
  const int outcome =
      backup == nullptr ? sqlite3_errcode(target.get()) : sqlite3_backup_finish(backup);
  if (outcome != SQLITE_OK)
    return Error{CodeOf(outcome, error_number), "copying " + from + ": " + sqlite3_errstr(outcome)};
  if (::fsync(made.get()) != 0)
    return SystemError("syncing " + to);
  return {};
}

}  // namespace cloister
