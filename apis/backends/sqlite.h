#pragma once

// An embedded SQLite database: connections, cached statements, transactions.
//
//   Database db = TRY(Database::Open(path, {}));
//   Statement apps = TRY(db.Query("SELECT id, name FROM apps WHERE tenant_id = ?", tenant));
//   while (TRY(apps.Step()))
//     Use(apps.Int(0), apps.Text(1));
//
// WAL, synchronous=FULL (what was committed survives power loss), foreign keys on, defensive. A
// connection is used by one thread at a time. All calls block: background jobs only.
// Errors: kStorageFull when the disk (or the page limit) is full, kAlreadyExists for a broken
// UNIQUE or PRIMARY KEY, kInvalidArgument for a broken CHECK or foreign key, kUnavailable when
// another process holds the lock for longer than the busy timeout, else kSystem.

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "apis/base/result.h"
#include "apis/base/units.h"

struct sqlite3;
struct sqlite3_stmt;

namespace cloister {

// Bytes for a BLOB column; a plain string_view is TEXT.
struct Blob {
  std::string_view bytes;
};

// A statement that runs. Borrowed from its Database's cache and given back when destroyed, so it
// must not outlive the Database. Columns are valid until the next Step().
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) = delete;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  // Parameters are bound from left to right. The bytes must live until the statement is done.
  template <std::integral T>
  void Bind(T value) {
    BindInt(static_cast<std::int64_t>(value));
  }
  void Bind(std::string_view text);
  void Bind(const char* text) { Bind(std::string_view(text)); }
  void Bind(Blob blob);
  void Bind(std::nullopt_t);
  template <typename T>
  void Bind(const std::optional<T>& value) {
    if (value)
      Bind(*value);
    else
      Bind(std::nullopt);
  }

  // True: a row is there. False: done.
  Result<bool> Step();
  // Steps to the end.
  Result<void> Finish();
  // Ready to be bound and stepped again.
  void Reset();

  bool IsNull(int column) const;
  std::int64_t Int(int column) const;
  std::uint64_t UInt(int column) const { return static_cast<std::uint64_t>(Int(column)); }
  std::string_view Text(int column) const;
  std::string_view BlobBytes(int column) const;

 private:
  friend class Database;
  struct Cached;
  struct Deleter {
    void operator()(Cached* cached) const;
  };
  using OwnCached = std::unique_ptr<Cached, Deleter>;

  explicit Statement(Cached& cached) : cached_(&cached) {}
  // A second user of one text while the first still steps: not kept.
  explicit Statement(OwnCached own) : own_(std::move(own)), cached_(own_.get()) {}
  void BindInt(std::int64_t value);

  OwnCached own_;  // null: from the cache
  Cached* cached_;
  int next_parameter_ = 1;
};

class Database {
 public:
  enum class Access { kReadWrite, kReadOnly };
  struct Options {
    Access access = Access::kReadWrite;
    Millis busy_timeout{5000};
    std::uint64_t pages_max = 0;  // of 4 KiB each; 0: as many as the disk holds
  };

  // Creates the file, readable by its owner only, unless `options.access` is kReadOnly.
  static Result<Database> Open(const std::string& path, const Options& options);

  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // Compiled once per text of SQL and kept, so `sql` must come from a bounded set: our own
  // literals.
  Result<Statement> Prepare(std::string_view sql);

  template <typename... Values>
  Result<Statement> Query(std::string_view sql, const Values&... values) {
    Statement statement = TRY(Prepare(sql));
    (statement.Bind(values), ...);
    return statement;
  }
  // For statements without rows.
  template <typename... Values>
  Result<void> Run(std::string_view sql, const Values&... values) {
    Statement statement = TRY(Query(sql, values...));
    return statement.Finish();
  }
  // Several statements without parameters: schemas and PRAGMAs. Not cached.
  Result<void> Execute(const std::string& sql);

  std::uint64_t last_row_id() const;
  // Rows changed by the last INSERT, UPDATE or DELETE.
  std::uint64_t changes() const;

 private:
  friend class Transaction;
  struct Closer {
    void operator()(sqlite3* db) const;
  };

  explicit Database(sqlite3* db);
  Error LastError(std::string_view doing) const;

  std::unique_ptr<sqlite3, Closer> db_;
  std::unordered_map<std::string, Statement::OwnCached> statements_;
};

// Copies the database at `from`, as of one moment, to a file `to` that it makes, on the disk when
// it returns. Writers of `from` go on meanwhile. kAlreadyExists: `to` is there.
Result<void> CopyDatabase(const std::string& from, const std::string& to);

// One transaction: rolled back when destroyed without Commit(). Takes the write lock at once, so
// that nothing read in it can be outdated when it writes.
class Transaction {
 public:
  static Result<Transaction> Begin(Database& db);
  // For reading only: all that is read in it is of one moment.
  static Result<Transaction> BeginRead(Database& db);

  Transaction(Transaction&& other) noexcept : db_(other.db_) { other.db_ = nullptr; }
  Transaction& operator=(Transaction&&) = delete;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  // After an error the transaction is rolled back.
  Result<void> Commit();

 private:
  explicit Transaction(Database& db) : db_(&db) {}

  Database* db_;  // null: committed or moved away
};

}  // namespace cloister
