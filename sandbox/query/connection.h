#pragma once

// One connection to the app's database, with everything in place that holds its statements: the
// authorizer, SQLite's limits, the time of a statement.
//
// A connection belongs to no session: sessions without a transaction share them, so what a session
// has set is set again before each of its statements.

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "apis/base/result.h"
#include "apis/query/packets.h"
#include "sandbox/query/files.h"
#include "sandbox/query/meter.h"
#include "sandbox/query/sql_rules.h"

struct sqlite3;
struct sqlite3_stmt;

namespace cloister {

struct StatementDeleter {
  void operator()(sqlite3_stmt* statement) const;
};
using OwnStatement = std::unique_ptr<sqlite3_stmt, StatementDeleter>;

class QueryConnection {
 public:
  // kUnavailable: the file is damaged, or cannot be used.
  static Result<std::unique_ptr<QueryConnection>> Open(const char* path, SqlAccess access);
  QueryConnection(const QueryConnection&) = delete;
  QueryConnection& operator=(const QueryConnection&) = delete;
  ~QueryConnection();

  sqlite3* db() const { return db_; }
  bool in_transaction() const;

  // Of a session, from now on. Within a transaction SQLite keeps what was.
  void SetFlags(std::uint8_t flags);
  std::uint8_t flags() const;
  void SetPagesMax(std::uint64_t pages);

  struct Prepared {
    sqlite3_stmt* statement = nullptr;  // null with rc 0: there is nothing in the text
    int rc = 0;
    std::string_view tail;  // what follows the first statement
  };
  // Kept for the next time when it is short. Reset by whoever steps it.
  Prepared Prepare(std::string_view sql);
  // Why the authorizer refused what was prepared last; empty: it did not.
  const std::string& refusal() const { return refusal_; }

  // A statement of ours, which nobody checks. The code of SQLite.
  int Run(const char* sql);

  // Statements that run from now on are stopped then, or when the other end of `socket` is gone;
  // -1: there is none to look at.
  void BeginTime(SteadyTime end, int socket) {
    end_ = end;
    socket_ = socket;
  }
  void EndTime() { BeginTime(SteadyTime::max(), -1); }

  // How large the log is; and has what it holds be written back as far as readers let it, so that
  // it can be begun anew.
  std::uint64_t log_size() const { return SizeOfFile(log_path_.c_str()); }
  void WriteBack();

 private:
  struct Kept {
    OwnStatement statement;
    std::list<std::string>::iterator place;
  };
  static constexpr std::size_t kKeptMax = 64;
  static constexpr std::size_t kKeptSqlMax = 4096;

  QueryConnection(sqlite3* db, const char* path, SqlAccess access)
      : db_(db), log_path_(std::string(path) + "-wal"), access_(access) {}
  static int Authorize(void* self, int action, const char* first, const char* second,
                       const char* database, const char* trigger);
  static int OnProgress(void* self);
  bool MustStop();
  Result<void> SetUp();
  sqlite3_stmt* Keep(std::string_view sql, OwnStatement statement);

  sqlite3* db_;
  std::string log_path_;
  SqlAccess access_;
  bool ours_ = false;  // what is prepared now is our own
  std::string refusal_;
  std::list<std::string> texts_;  // of kept statements, the last used first
  std::unordered_map<std::string_view, Kept> kept_;
  OwnStatement passing_;  // one that is not kept
  SteadyTime end_ = SteadyTime::max();
  int socket_ = -1;
  SteadyTime looked_;  // at socket_, last
  std::uint8_t flags_ = 0;
  std::uint64_t pages_max_ = 0;
};

}  // namespace cloister
