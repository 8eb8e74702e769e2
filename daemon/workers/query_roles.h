#pragma once

// Apps' databases on the operator's SQL server: one database and one account for each.
//
// Their names tell nothing of the app, and its password is known to the node only: both are made
// from the app's number and a key of this state directory (query.key), so that they are the same
// whenever they are asked for. Beside it query.key.id says which key that was, so that a state
// directory that has lost its key is told from a new one: with another key all apps would have
// other databases, which are empty. Everything blocks: in the background only.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/backends/sql_server.h"
#include "apis/base/names.h"
#include "apis/base/result.h"
#include "daemon/workers/query_files.h"

namespace cloister {

// In the state directory.
inline constexpr std::string_view kQueryKeyFile = "query.key";
inline constexpr std::string_view kQueryKeyIdFile = "query.key.id";

// An app's database there.
struct ServerDatabase {
  std::string name;  // empty: no app has one yet
  SqlServerUse use;
};

class QueryRoles {
 public:
  // `connections`: that one query process has for statements.
  QueryRoles(SqlServerAddress server, std::string state_dir, std::uint32_t connections)
      : server_(std::move(server)), state_dir_(std::move(state_dir)), connections_(connections) {}

  // What the query process of the app is to have: its login, and sockets that are connected.
  Result<QueryFiles> Open(AppId app, QueryPurpose purpose) const;
  // Ends the app's statements that run for longer than `age`, where a server does not do so by
  // itself.
  Result<void> EndStatements(AppId app, Millis age) const;
  // Whether the server can be used, and the key is there if it ever was.
  Result<void> Check() const;
  // What the app has; asks the server.
  Result<ServerDatabase> UseOf(AppId app) const;
  // The app is gone.
  Result<void> Drop(AppId app) const;
  // Nobody uses that copy of its database any more (QueryFiles::copy).
  Result<void> DropCopy(const std::string& copy) const;
  // Of its database and its account, for the operator; empty: no app has one yet. Does not ask the
  // server.
  Result<std::string> NameOf(AppId app) const;

 private:
  Result<SqlServerAccount> AccountOf(AppId app) const;
  Result<void> Make(const SqlServerAccount& account) const;
  // `account` becomes the one that the check has.
  Result<void> MakeCheck(SqlServerAccount& account, QueryFiles& opened) const;

  SqlServerAddress server_;
  std::string state_dir_;
  std::uint32_t connections_;
};

}  // namespace cloister
