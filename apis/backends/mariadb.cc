#include "apis/backends/mariadb.h"

#include <mysql.h>
#include <openssl/evp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr unsigned kConnectSeconds = 5;
constexpr unsigned kReadSeconds = 60;
// What takes longer on the server is ended there before it is given up here.
constexpr const char* kTimes =
    "SET SESSION max_statement_time = 50, SESSION lock_wait_timeout = 10,"
    " SESSION innodb_lock_wait_timeout = 10";
// Of one answer: a server that says more is none.
constexpr unsigned long kPacketMax = 64UL << 20;
constexpr std::size_t kAnswerMax = kPacketMax;
constexpr const char* kRights =
    "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, CREATE VIEW, SHOW VIEW, TRIGGER,"
    " REFERENCES";
constexpr const char* kCopyMark = "_c";
constexpr std::uint64_t kCopyHours = 6;
// A database that takes longer, for the number of its tables, is not copied.
constexpr std::chrono::seconds kCopyTime{60};

// A row's texts; a null is empty.
using Row = std::vector<std::string>;
using Rows = std::vector<Row>;

struct ResultDeleter {
  void operator()(MYSQL_RES* result) const { ::mysql_free_result(result); }
};

class Session {
 public:
  static Result<Session> Open(const SqlServerAddress& server, const std::string& user,
                              const std::string& password, const std::string& database);
  Session(Session&& other) noexcept : mysql_(std::exchange(other.mysql_, nullptr)) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session& operator=(Session&&) = delete;
  ~Session() {
    if (mysql_ != nullptr)
      ::mysql_close(mysql_);
  }

  // The statement is not told in an error: it may hold a verifier.
  Result<Rows> Run(const std::string& sql) const;
  // The first value as a number, 0 without one.
  Result<std::uint64_t> Number(const std::string& sql) const;

 private:
  explicit Session(MYSQL* mysql) : mysql_(mysql) {}
  Error Failure() const;
  void Hangup() const;

  MYSQL* mysql_;
};

Result<Session> Session::Open(const SqlServerAddress& server, const std::string& user,
                              const std::string& password, const std::string& database) {
  static std::once_flag once;
  std::call_once(once, [] { (void)::mysql_library_init(0, nullptr, nullptr); });
  Session session(::mysql_init(nullptr));
  if (session.mysql_ == nullptr)
    return Error{ErrorCode::kUnavailable, "out of memory"};
  const unsigned off = 0;
  const unsigned socket = MYSQL_PROTOCOL_SOCKET;
  const unsigned tcp = MYSQL_PROTOCOL_TCP;
  (void)::mysql_options(session.mysql_, MYSQL_OPT_LOCAL_INFILE, &off);
  (void)::mysql_options(session.mysql_, MYSQL_OPT_CONNECT_TIMEOUT, &kConnectSeconds);
  (void)::mysql_options(session.mysql_, MYSQL_OPT_READ_TIMEOUT, &kReadSeconds);
  (void)::mysql_options(session.mysql_, MYSQL_OPT_MAX_ALLOWED_PACKET, &kPacketMax);
  (void)::mysql_options(session.mysql_, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  (void)::mysql_options(session.mysql_, MARIADB_OPT_RESTRICTED_AUTH, kMariadbNodePlugins);
  (void)::mysql_options(session.mysql_, MYSQL_OPT_PROTOCOL, server.socket.empty() ? &tcp : &socket);
  if (::mysql_real_connect(session.mysql_, server.host.empty() ? nullptr : server.host.c_str(),
                           user.c_str(), password.c_str(),
                           database.empty() ? nullptr : database.c_str(), server.port,
                           server.socket.empty() ? nullptr : server.socket.c_str(), 0) == nullptr)
    return Error{ErrorCode::kUnavailable, ::mysql_error(session.mysql_)};
  TRY(session.Run(kMariadbSession));
  TRY(session.Run(kTimes));
  return session;
}

Result<Rows> Session::Run(const std::string& sql) const {
  if (::mysql_real_query(mysql_, sql.data(), sql.size()) != 0)
    return Failure();
  Rows rows;
  const std::unique_ptr<MYSQL_RES, ResultDeleter> result(::mysql_use_result(mysql_));
  if (result == nullptr)
    return ::mysql_errno(mysql_) == 0 ? Result<Rows>(std::move(rows)) : Failure();
  const unsigned columns = ::mysql_num_fields(result.get());
  std::size_t bytes = 0;
  while (MYSQL_ROW const found = ::mysql_fetch_row(result.get())) {
    const unsigned long* const sizes = ::mysql_fetch_lengths(result.get());
    Row& row = rows.emplace_back();
    for (unsigned i = 0; i < columns; ++i) {
      row.emplace_back(found[i] == nullptr ? std::string() : std::string(found[i], sizes[i]));
      bytes += sizeof(std::string) + row.back().size();
    }
    if (bytes > kAnswerMax) {
      // Its end is not waited for.
      Hangup();
      return Error{ErrorCode::kUnavailable, "the server's answer is too long"};
    }
  }
  if (::mysql_errno(mysql_) != 0)
    return Failure();
  return rows;
}

Error Session::Failure() const {
  return {ErrorCode::kUnavailable, std::string(::mysql_error(mysql_)) + " (error " +
                                       std::to_string(::mysql_errno(mysql_)) + ")"};
}

void Session::Hangup() const {
  (void)::shutdown(static_cast<int>(::mysql_get_socket(mysql_)), SHUT_RDWR);
}

Result<std::uint64_t> Session::Number(const std::string& sql) const {
  const Rows rows = TRY(Run(sql));
  std::uint64_t number = 0;
  if (!rows.empty() && !rows.front().empty())
    (void)std::from_chars(rows.front().front().data(),
                          rows.front().front().data() + rows.front().front().size(), number);
  return number;
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Result<Session> LogInAsNode(const SqlServerAddress& server) {
  return Session::Open(server, server.user, server.password, "");
}

Result<Session> LogInAsApp(const SqlServerAddress& server, const SqlServerAccount& account) {
  return Session::Open(server, account.name, account.password, account.name);
}

std::string Quoted(std::string_view name) {
  std::string quoted = "`";
  for (const char c : name) {
    quoted += c;
    if (c == '`')
      quoted += c;
  }
  return quoted + "`";
}

std::string UserOf(const std::string& name) {
  return "'" + name + "'@'%'";
}

// In a right an underscore stands for any character.
std::string PatternOf(const std::string& database) {
  std::string pattern;
  for (const char c : database) {
    if (c == '_')
      pattern += '\\';
    pattern += c;
  }
  return Quoted(pattern);
}

// What the server keeps of a password: in none of its logs is the password itself.
std::string VerifierOf(const std::string& password) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> once{};
  std::array<unsigned char, EVP_MAX_MD_SIZE> twice{};
  unsigned size = 0;
  CHECK(::EVP_Digest(password.data(), password.size(), once.data(), &size, ::EVP_sha1(), nullptr) ==
        1);
  CHECK(::EVP_Digest(once.data(), size, twice.data(), &size, ::EVP_sha1(), nullptr) == 1);
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string verifier = "*";
  for (const unsigned char byte : std::span(twice).first(size)) {
    verifier += kDigits[byte >> 4];
    verifier += kDigits[byte & 15];
  }
  return verifier;
}

Result<void> MakeDatabase(const Session& admin, const std::string& name) {
  TRY(admin.Run("CREATE DATABASE IF NOT EXISTS " + Quoted(name) +
                " CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"));
  TRY(admin.Run("GRANT " + std::string(kRights) + " ON " + PatternOf(name) + ".* TO " +
                UserOf(name)));
  return {};
}

Result<void> MakeUser(const Session& admin, const SqlServerAccount& account) {
  const std::string is = UserOf(account.name) + " IDENTIFIED VIA mysql_native_password USING '" +
                         VerifierOf(account.password) + "' WITH MAX_USER_CONNECTIONS " +
                         std::to_string(account.connections_max);
  TRY(admin.Run("CREATE USER IF NOT EXISTS " + is));
  TRY(admin.Run("ALTER USER " + is));
  return {};
}

// An account that everybody has, or rights of everybody's, would let apps meet in other databases.
Result<void> CheckStrangers(const Session& admin) {
  const Result<std::uint64_t> open =
      admin.Number("SELECT COUNT(*) FROM mysql.db WHERE User IN ('', 'PUBLIC')");
  if (open.ok() && open.value() > 0)
    return Error{ErrorCode::kUnavailable,
                 "the server lets every account use the databases that mysql.db names for '' or "
                 "PUBLIC: run mariadb-secure-installation"};
  return {};
}

std::uint64_t NowNanos() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

// When it was made, by its name.
std::optional<std::uint64_t> TimeOfCopy(std::string_view name, std::string_view copy) {
  const std::string begin = std::string(name) + kCopyMark;
  if (!copy.starts_with(begin))
    return std::nullopt;
  copy.remove_prefix(begin.size());
  std::uint64_t time = 0;
  const auto read = std::from_chars(copy.data(), copy.data() + copy.size(), time, 16);
  if (read.ec != std::errc() || read.ptr != copy.data() + copy.size())
    return std::nullopt;
  return time;
}

Result<void> DropAll(const Session& admin, const std::string& name) {
  TRY(admin.Run("DROP DATABASE IF EXISTS " + Quoted(name)));
  TRY(admin.Run("DROP USER IF EXISTS " + UserOf(name)));
  return {};
}

Result<void> DropCopiesBefore(const Session& admin, const std::string& name, std::uint64_t time) {
  for (const Row& row : TRY(admin.Run("SELECT schema_name FROM information_schema.schemata")))
    if (const auto made = TimeOfCopy(name, row.front()); made && *made < time)
      TRY(DropAll(admin, row.front()));
  return {};
}

// Copies the tables, sequences, views and triggers of one database into an empty one. Each session
// is that of the account whose database it is: what definitions say is run with its rights.
class Copier {
 public:
  // `database`: what is copied.
  Copier(Session from, Session to, std::string database)
      : from_(std::move(from)), to_(std::move(to)), database_(std::move(database)) {}

  // False: it takes too long.
  Result<bool> Copy() const {
    TRY(to_.Run("SET SESSION foreign_key_checks = 0"));
    std::vector<std::string> views;
    for (const Row& row : TRY(Names("table_name, table_type", "tables", "table_schema"))) {
      if (is_late())
        return false;
      if (row[1] == "VIEW")
        views.push_back(row[0]);
      else if (row[1] == "SEQUENCE")
        TRY(CopySequence(row[0]));
      else
        TRY(CopyTable(row[0]));
    }
    TRY(CopyViews(std::move(views)));
    for (const Row& row : TRY(Names("trigger_name", "triggers", "trigger_schema"))) {
      if (is_late())
        return false;
      TRY(Define("SHOW CREATE TRIGGER " + Quoted(row[0]), 2));
    }
    return !is_late();
  }

 private:
  bool is_late() const { return std::chrono::steady_clock::now() > end_; }

  Result<Rows> Names(const std::string& columns, const std::string& table,
                     const std::string& schema) const {
    return from_.Run("SELECT " + columns + " FROM information_schema." + table + " WHERE " +
                     schema + " = DATABASE()");
  }

  Result<void> Define(const std::string& show, std::size_t column) const {
    const Rows shown = TRY(from_.Run(show));
    if (shown.empty() || shown.front().size() <= column)
      return Error{ErrorCode::kUnavailable, "the server does not tell how a table was made"};
    std::string text = shown.front()[column];
    // Whose a view or a trigger is: in the copy it is that account's.
    const std::string definer = " DEFINER=\"" + database_ + "\"@\"%\"";
    if (const std::size_t at = text.find(definer); at != std::string::npos)
      text.erase(at, definer.size());
    TRY(to_.Run(text));
    return {};
  }

  Result<void> CopyTable(const std::string& table) const {
    TRY(Define("SHOW CREATE TABLE " + Quoted(table), 1));
    std::string columns;
    for (const Row& row : TRY(from_.Run(
             "SELECT c.column_name FROM information_schema.columns c WHERE c.table_schema ="
             " DATABASE() AND c.is_generated = 'NEVER' AND c.table_name = '" +
             Escaped(table) + "' ORDER BY c.ordinal_position")))
      columns += (columns.empty() ? "" : ", ") + Quoted(row[0]);
    TRY(to_.Run("INSERT INTO " + Quoted(table) + " (" + columns + ") SELECT " + columns + " FROM " +
                Quoted(database_) + "." + Quoted(table)));
    return {};
  }

  Result<void> CopySequence(const std::string& name) const {
    TRY(Define("SHOW CREATE SEQUENCE " + Quoted(name), 1));
    const Rows next = TRY(from_.Run("SELECT next_not_cached_value FROM " + Quoted(name)));
    if (!next.empty())
      TRY(to_.Run("SELECT SETVAL(" + Quoted(name) + ", " + next.front().front() + ", 0)"));
    return {};
  }

  // One may use another, in any order.
  Result<void> CopyViews(std::vector<std::string> views) const {
    while (!views.empty()) {
      std::vector<std::string> left;
      Result<void> made;
      for (const std::string& view : views) {
        if (is_late())
          return {};
        made = Define("SHOW CREATE VIEW " + Quoted(view), 1);
        if (!made.ok())
          left.push_back(view);
      }
      // One that uses what is gone is of no use in the database itself.
      if (left.size() == views.size())
        return {};
      views = std::move(left);
    }
    return {};
  }

  static std::string Escaped(const std::string& text) {
    std::string escaped;
    for (const char c : text) {
      escaped += c;
      if (c == '\'')
        escaped += c;
    }
    return escaped;
  }

  Session from_;
  Session to_;
  std::string database_;
  std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + kCopyTime;
};

}  // namespace

Result<void> MakeMariadbAccount(const SqlServerAddress& server, const SqlServerAccount& account) {
  CHECK(IsName(account.name));
  const Session admin = TRY(LogInAsNode(server));
  TRY(CheckStrangers(admin));
  TRY(MakeUser(admin, account));
  return MakeDatabase(admin, account.name);
}

Result<void> CheckMariadbServer(const SqlServerAddress& server) {
  const Session admin = TRY(LogInAsNode(server));
  return CheckStrangers(admin);
}

Result<SqlServerUse> MariadbUseOf(const SqlServerAddress& server, const std::string& name) {
  CHECK(IsName(name));
  const Session admin = TRY(LogInAsNode(server));
  const std::string from = " FROM information_schema.tables WHERE table_schema = '" + name +
                           "' AND table_type = 'BASE TABLE'";
  SqlServerUse use;
  use.tables = TRY(admin.Number("SELECT COUNT(*)" + from));
  use.bytes = TRY(admin.Number("SELECT COALESCE(SUM(data_length + index_length), 0)" + from));
  return use;
}

Result<void> DropMariadbAccount(const SqlServerAddress& server, const std::string& name) {
  CHECK(IsName(name));
  const Session admin = TRY(LogInAsNode(server));
  TRY(DropCopiesBefore(admin, name, ~std::uint64_t{0}));
  return DropAll(admin, name);
}

std::string MariadbCopyName(const std::string& name) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), NowNanos(), 16);
  return name + kCopyMark + std::string(digits.data(), end.ptr);
}

Result<bool> MakeMariadbCopy(const SqlServerAddress& server, const SqlServerAccount& account,
                             const SqlServerAccount& copy, Bytes bytes_max) {
  CHECK(IsName(account.name) && IsName(copy.name));
  constexpr std::uint64_t kHour = std::uint64_t{3600} * 1000000000;
  const Session admin = TRY(LogInAsNode(server));
  TRY(DropCopiesBefore(admin, account.name, NowNanos() - kCopyHours * kHour));
  const std::uint64_t size =
      TRY(admin.Number("SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS UNSIGNED)"
                       " FROM information_schema.tables WHERE table_schema = '" +
                       account.name + "'"));
  if (size > bytes_max.count)
    return false;
  const std::string reading = "SELECT ON " + PatternOf(account.name) + ".* ";
  Result<bool> made = [&]() -> Result<bool> {
    TRY(MakeUser(admin, copy));
    TRY(MakeDatabase(admin, copy.name));
    TRY(admin.Run("GRANT " + reading + "TO " + UserOf(copy.name)));
    Session from = TRY(LogInAsApp(server, account));
    Session to = TRY(LogInAsApp(server, copy));
    const bool whole = TRY(Copier(std::move(from), std::move(to), account.name).Copy());
    TRY(admin.Run("REVOKE " + reading + "FROM " + UserOf(copy.name)));
    return whole;
  }();
  if (made.ok() && made.value())
    return true;
  (void)DropAll(admin, copy.name);
  return made;
}

Result<void> DropMariadbCopy(const SqlServerAddress& server, const std::string& copy) {
  CHECK(IsName(copy));
  const Session admin = TRY(LogInAsNode(server));
  return DropAll(admin, copy);
}

}  // namespace cloister
