#pragma once

// One connection to the app's SQL server, over a socket that was handed over.
//
// Statements are queued, up to a Sync; what they gave is read step by step, row by row. One that
// fails has those that follow it skipped, up to the Sync. Nothing here waits.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/query/packets.h"
#include "apis/wire/codec.h"

namespace cloister {

struct ServerLogin {
  std::string user;
  std::string password;
  std::string database;
};

struct ServerError {
  QueryErrorClass kind = QueryErrorClass::kOperational;
  const char* code = "sql_error";  // docs/errors.md
  std::string message;
  bool stopped = false;  // somebody asked the server to end the statement
};

class ServerConnection {
 public:
  using Set = std::vector<QueryValue>;

  ServerConnection() = default;
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;
  virtual ~ServerConnection() = default;

  virtual int fd() const = 0;
  // By which the server knows it.
  virtual std::uint64_t number() const = 0;
  virtual bool in_transaction() const = 0;

  // Queues a statement; false: there is no memory for it.
  virtual bool Queue(const std::string& sql) = 0;
  // Queues one that is run once with each set of values, of which there is at least one. What the
  // values view lives until the Sync. Its preparation is a step of its own, before the others.
  virtual bool Run(const std::string& sql, std::span<const Set> sets) = 0;
  virtual bool Sync() = 0;

  // For poll().
  virtual short events() const = 0;
  // Reads and writes what can be. An Error: the server is gone.
  virtual Result<void> Work(short events) = 0;

  enum class Step {
    kNothing,  // no more has come yet
    kRow,      // there is one row
    kDone,     // the statement is done
    kFailed,   // error()
    kSkipped,  // an earlier one up to the Sync had failed
    kSynced,   // all up to the Sync is over
    kBroken,   // the connection is of no use any more
  };
  virtual Step Next() = 0;

  // Of the last step, until the next.
  virtual int columns() const = 0;
  virtual std::string_view column_name(int column) const = 0;
  // What the driver is told that the column is; empty: its values need nothing done.
  virtual std::string_view declared(int column) const = 0;
  // The value, as in packets.h.
  virtual void AppendValue(WireWriter& out, int column) const = 0;
  // The value, if it is a whole number.
  virtual std::optional<std::int64_t> integer(int column) const = 0;
  virtual std::uint64_t changed() const = 0;  // all ones: it is no statement that changes rows
  // Of the row that was inserted, where the server tells without being asked.
  virtual std::optional<std::int64_t> row_id() const = 0;
  virtual std::string_view text(int column) const = 0;
  virtual ServerError error() const = 0;
  // Why it is of no use any more, after kBroken.
  virtual std::string_view loss() const = 0;
};

}  // namespace cloister
