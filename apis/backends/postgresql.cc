#include "apis/backends/postgresql.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <libpq-fe.h>

#include "apis/base/check.h"

namespace cloister {
namespace {

// Of a database that has all that MakePostgresqlAccount gives it.
constexpr std::string_view kMade = "cloister 2";
// Another node's process may do the same at this moment.
constexpr int kAttempts = 5;
// Longer than any statement of an app's may take.
constexpr Millis kStatementMax{700000};
// An app may have its own functions and operators in its database: those of the catalog are used.
constexpr const char* kOptions =
    "-c search_path=pg_catalog -c statement_timeout=30s -c lock_timeout=3s";

struct ConnectionDeleter {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using OwnConnection = std::unique_ptr<PGconn, ConnectionDeleter>;
struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using OwnResult = std::unique_ptr<PGresult, ResultDeleter>;

std::string Trimmed(std::string text) {
  while (text.ends_with('\n'))
    text.pop_back();
  return text;
}

void IgnoreNotice(void* /*context*/, const PGresult* /*result*/) {}

Result<OwnConnection> LogIn(const SqlServerAddress& server, const std::string& database) {
  const std::string port = std::to_string(server.port);
  const std::string& host = server.directory.empty() ? server.host : server.directory;
  const char* const names[] = {
      "host",     "port",    "user", "dbname", "password", "connect_timeout", "application_name",
      "passfile", "options", nullptr};
  const char* const values[] = {host.c_str(), port.c_str(), server.user.c_str(), database.c_str(),
                                server.password.c_str(), "5", "cloister-node",
                                // What is there and no file would be warned of.
                                "/nonexistent", kOptions, nullptr};
  OwnConnection connection(PQconnectdbParams(names, values, 0));
  if (connection == nullptr || PQstatus(connection.get()) != CONNECTION_OK)
    return Error{ErrorCode::kUnavailable, connection == nullptr
                                              ? std::string("out of memory")
                                              : Trimmed(PQerrorMessage(connection.get()))};
  PQsetNoticeReceiver(connection.get(), IgnoreNotice, nullptr);
  return connection;
}

// The first value, or an empty text when there is none.
Result<std::string> Run(PGconn* connection, const std::string& sql) {
  const OwnResult result(PQexec(connection, sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    // The statement is not told: it may hold a verifier.
    return Error{ErrorCode::kUnavailable, Trimmed(PQresultErrorMessage(result.get())) +
                                              (state == nullptr ? "" : std::string(" ") + state)};
  }
  if (PQntuples(result.get()) == 0 || PQnfields(result.get()) == 0)
    return std::string();
  return std::string(PQgetvalue(result.get(), 0, 0));
}

std::uint64_t NumberIn(const std::string& text) {
  std::uint64_t number = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// So that the password itself is in no log of the server.
Result<std::string> VerifierOf(PGconn* connection, const SqlServerAccount& account) {
  char* verifier = PQencryptPasswordConn(connection, account.password.c_str(), account.name.c_str(),
                                         "scram-sha-256");
  if (verifier == nullptr)
    return Error{ErrorCode::kUnavailable, Trimmed(PQerrorMessage(connection))};
  std::string text(verifier);
  PQfreemem(verifier);
  return text;
}

Result<void> MakeRole(PGconn* admin, const SqlServerAccount& account) {
  const std::string found =
      TRY(Run(admin, "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = '" + account.name + "'"));
  if (found.empty())
    TRY(Run(admin, "CREATE ROLE " + account.name));
  const std::string verifier = TRY(VerifierOf(admin, account));
  TRY(Run(admin, "ALTER ROLE " + account.name +
                     " LOGIN NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT " +
                     std::to_string(account.connections_max) + " PASSWORD '" + verifier + "'"));
  return {};
}

// Takes back what the role has set for itself, for all databases and for its own. Statements of a
// query process that has died end. What only a superuser may set, or whom one lets, is set where it
// can be: else an app writes the server's log full (RAISE LOG, statements that fail), and its disk
// by sorting and by cursors that stay.
std::string SettingsOf(const std::string& name) {
  const std::string role = "ALTER ROLE " + name;
  const auto try_to = [&role](const char* setting) {
    return "  BEGIN " + role + " SET " + setting +
           "; EXCEPTION WHEN insufficient_privilege OR undefined_object THEN NULL; END;\n";
  };
  return "DO $$ BEGIN\n" + role + " RESET ALL;\n" + role + " IN DATABASE " + name +
         " RESET ALL;\n" + try_to("client_connection_check_interval = '5s'") +
         try_to("statement_timeout = '700s'") + try_to("log_min_messages = 'fatal'") +
         try_to("temp_file_limit = '1GB'") + "END $$";
}

// Takes from everybody what would show other databases and roles, which are other apps', and locks
// by number: they last for as long as a connection, and all databases have the same room for them,
// so that one app could take it all. Only a superuser can.
constexpr const char* kHide = R"(DO $$
DECLARE hidden record;
BEGIN
  FOR hidden IN
    SELECT c.oid::regclass AS name FROM pg_catalog.pg_class c
    WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relname IN (
      'pg_database', 'pg_roles', 'pg_user', 'pg_group', 'pg_auth_members', 'pg_db_role_setting',
      'pg_shdepend', 'pg_shdescription', 'pg_shseclabel', 'pg_tablespace', 'pg_locks',
      'pg_prepared_xacts', 'pg_replication_slots', 'pg_subscription', 'pg_stat_activity',
      'pg_stat_database', 'pg_stat_database_conflicts', 'pg_stat_replication', 'pg_stat_ssl',
      'pg_stat_gssapi', 'pg_stat_wal_receiver', 'pg_stat_subscription', 'pg_settings')
  LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM PUBLIC', hidden.name);
  END LOOP;
  FOR hidden IN
    SELECT p.oid::regprocedure AS name FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND (
      p.proname LIKE 'pg\_stat\_get\_backend%' OR p.proname LIKE 'pg\_stat\_get\_db%' OR
      p.proname LIKE 'pg\_show\_all%' OR p.proname LIKE 'pg\_advisory\_lock%' OR
      p.proname LIKE 'pg\_advisory\_xact\_lock%' OR p.proname LIKE 'pg\_try\_advisory%' OR
      p.proname IN (
        'pg_stat_get_activity', 'pg_lock_status', 'pg_prepared_xact', 'pg_get_replication_slots',
        'pg_stat_get_wal_senders', 'pg_tablespace_databases', 'pg_blocking_pids',
        'pg_safe_snapshot_blocking_pids', 'pg_stat_get_progress_info', 'pg_describe_object',
        'pg_identify_object', 'pg_identify_object_as_address', 'pg_notify',
        'pg_logical_emit_message'))
  LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', hidden.name);
  END LOOP;
END $$)";

Result<void> MakeDatabase(PGconn* admin, const SqlServerAddress& server, const std::string& name) {
  const std::string made =
      TRY(Run(admin,
              "SELECT 'is ' || coalesce(pg_catalog.shobj_description(oid, 'pg_database'), '')"
              " FROM pg_catalog.pg_database WHERE datname = '" +
                  name + "'"));
  if (made == "is " + std::string(kMade))
    return {};
  if (made.empty())
    TRY(Run(admin, "CREATE DATABASE " + name +
                       " TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"));
  TRY(Run(admin, "REVOKE ALL ON DATABASE " + name + " FROM PUBLIC"));
  TRY(Run(admin, "GRANT CONNECT ON DATABASE " + name + " TO " + name));
  const OwnConnection inside = TRY(LogIn(server, name));
  TRY(Run(inside.get(), "REVOKE ALL ON SCHEMA public FROM PUBLIC"));
  TRY(Run(inside.get(), "GRANT USAGE, CREATE ON SCHEMA public TO " + name));
  const std::string super = TRY(
      Run(inside.get(), "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"));
  if (super == "t")
    TRY(Run(inside.get(), kHide));
  TRY(Run(admin, "COMMENT ON DATABASE " + name + " IS '" + std::string(kMade) + "'"));
  return {};
}

Result<void> EndStatements(PGconn* admin, const std::string& name, Millis age) {
  TRY(Run(admin,
          "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
          " WHERE usename = '" +
              name + "' AND state = 'active' AND query_start < now() - interval '" +
              std::to_string(age.count()) + " milliseconds'"));
  return {};
}

Result<void> MakeAll(const SqlServerAddress& server, const SqlServerAccount& account) {
  const OwnConnection admin = TRY(LogIn(server, server.database));
  TRY(MakeRole(admin.get(), account));
  TRY(MakeDatabase(admin.get(), server, account.name));
  TRY(Run(admin.get(), SettingsOf(account.name)));
  return EndStatements(admin.get(), account.name, kStatementMax);
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() < 63 &&
         std::ranges::all_of(
             name,
             [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

}  // namespace

Result<void> MakePostgresqlAccount(const SqlServerAddress& server,
                                   const SqlServerAccount& account) {
  CHECK(IsName(account.name));
  Result<void> made;
  for (int i = 0; i < kAttempts; ++i) {
    made = MakeAll(server, account);
    // "tuple concurrently updated", "already exists": somebody else was a moment earlier.
    if (made.ok() ||
        !(made.error().message.ends_with(" XX000") || made.error().message.ends_with(" 42710") ||
          made.error().message.ends_with(" 42P04") || made.error().message.ends_with(" 23505")))
      break;
  }
  return made;
}

Result<void> EndPostgresqlStatements(const SqlServerAddress& server, const std::string& name,
                                     Millis age) {
  CHECK(IsName(name));
  const OwnConnection admin = TRY(LogIn(server, server.database));
  return EndStatements(admin.get(), name, age);
}

Result<void> CheckPostgresqlServer(const SqlServerAddress& server) {
  TRY(LogIn(server, server.database));
  return {};
}

Result<SqlServerUse> PostgresqlUseOf(const SqlServerAddress& server, const std::string& name) {
  CHECK(IsName(name));
  const OwnConnection admin = TRY(LogIn(server, server.database));
  if (TRY(Run(admin.get(), "SELECT 1 FROM pg_database WHERE datname = '" + name + "'")).empty())
    return SqlServerUse{};
  const OwnConnection inside = TRY(LogIn(server, name));
  const std::string from =
      " FROM pg_catalog.pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN "
      "('r', 'p', 'm')";
  SqlServerUse use;
  use.tables = NumberIn(TRY(Run(inside.get(), "SELECT count(*)" + from)));
  use.bytes = NumberIn(
      TRY(Run(inside.get(), "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)" + from)));
  return use;
}

Result<void> DropPostgresqlAccount(const SqlServerAddress& server, const std::string& name) {
  CHECK(IsName(name));
  const OwnConnection admin = TRY(LogIn(server, server.database));
  TRY(Run(admin.get(), "DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"));
  TRY(Run(admin.get(), "DROP ROLE IF EXISTS " + name));
  return {};
}

}  // namespace cloister
