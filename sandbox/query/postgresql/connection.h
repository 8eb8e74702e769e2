#pragma once

// One connection to the app's PostgreSQL server, by libpq over a socket that was handed over.
//
// Every statement goes by the extended protocol, which takes one statement at a time. Nothing here
// waits but Open.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/query/sql_server/connection.h"

struct pg_conn;
struct pg_result;

namespace cloister {

class PgConnection : public ServerConnection {
 public:
  // Logs in, before the walls: `fd` is a connected socket, and this connection's from now on.
  static Result<std::unique_ptr<ServerConnection>> Open(int fd, const ServerLogin& login);
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;
  ~PgConnection() override;

  int fd() const override;
  std::uint64_t number() const override;  // of the server's process
  bool in_transaction() const override;

  bool Queue(const std::string& sql) override;
  bool Run(const std::string& sql, std::span<const Set> sets) override;
  bool Sync() override;

  short events() const override;
  Result<void> Work(short events) override;
  Step Next() override;

  int columns() const override;
  std::string_view column_name(int column) const override;
  std::string_view declared(int column) const override;
  void AppendValue(WireWriter& out, int column) const override;
  std::optional<std::int64_t> integer(int column) const override;
  std::uint64_t changed() const override;
  std::optional<std::int64_t> row_id() const override { return std::nullopt; }
  std::string_view text(int column) const override { return value(column); }
  ServerError error() const override;
  std::string_view loss() const override { return "the server began to copy data"; }

 private:
  explicit PgConnection(pg_conn* connection) : connection_(connection) {}
  bool Prepare(const std::string& sql, std::span<const Set> sets);
  // What was prepared last.
  bool Execute(std::span<const QueryValue> values);
  std::string_view value(int column) const;
  void Clear();

  pg_conn* connection_;
  pg_result* result_ = nullptr;
  std::size_t pending_ = 0;  // statements and Syncs whose end was not read
};

}  // namespace cloister
