#pragma once

// One connection to the app's PostgreSQL server, by libpq over a socket that was handed over.
//
// Statements are queued, up to a Sync; what they gave is read step by step, row by row. Every
// statement goes by the extended protocol, which takes one statement at a time. Nothing here waits
// but Open.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/query/packets.h"

struct pg_conn;
struct pg_result;

namespace cloister {

struct PgLogin {
  std::string user;
  std::string password;
  std::string database;
};

struct PgError {
  std::string state;  // SQLSTATE
  std::string message;
};

class PgConnection {
 public:
  // Logs in, before the walls: `fd` is a connected socket, and this connection's from now on.
  static Result<std::unique_ptr<PgConnection>> Open(int fd, const PgLogin& login);
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;
  ~PgConnection();

  int fd() const;
  int pid() const;
  bool in_transaction() const;
  bool is_failed() const;  // within a transaction that can only be rolled back

  // Queues a statement; false: there is no memory for it. `types`: of the parameters (values.h).
  bool Queue(const std::string& sql);
  bool Prepare(const std::string& sql, const std::vector<std::uint32_t>& types);
  // What was prepared last.
  bool Execute(std::span<const QueryValue> values);
  bool Sync();

  // For poll().
  short events() const;
  // Reads and writes what can be. An Error: the server is gone.
  Result<void> Work(short events);

  enum class Step {
    kNothing,  // no more has come yet
    kRow,      // result() has one row
    kDone,     // the statement is done; result() says how many rows it changed
    kFailed,   // error()
    kSkipped,  // an earlier one up to the Sync had failed
    kSynced,   // all up to the Sync is over
    kBroken,   // what no statement that may be used gives
  };
  Step Next();

  // Of the last step, until the next.
  int columns() const;
  std::string_view column_name(int column) const;
  std::uint32_t column_type(int column) const;
  bool is_null(int column) const;
  std::string_view value(int column) const;
  std::uint64_t changed() const;  // all ones: it is no statement that changes rows
  PgError error() const;

 private:
  explicit PgConnection(pg_conn* connection) : connection_(connection) {}
  void Clear();

  pg_conn* connection_;
  pg_result* result_ = nullptr;
  std::size_t pending_ = 0;  // statements and Syncs whose end was not read
};

// The socket that libpq gets when it asks the system for one.
void HandSocket(int fd);

}  // namespace cloister
