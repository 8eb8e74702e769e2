#include "daemon/workers/query_roles.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "apis/backends/mariadb.h"
#include "apis/backends/postgresql.h"
#include "apis/backends/sodium.h"
#include "apis/base/sha256.h"
#include "apis/wire/messages.h"

namespace cloister {
namespace {

constexpr Millis kConnectMax{5000};
constexpr std::size_t kNameDigits = 20;
// Query processes of one app at one time: of the release that serves, of a node that drains, of
// releases that are checked.
constexpr std::uint32_t kProcessesMax = 4;

constexpr std::size_t kIdDigits = 16;

std::string KeyPath(const std::string& directory) {
  return directory + "/" + std::string(kQueryKeyFile);
}

std::string IdPath(const std::string& directory) {
  return directory + "/" + std::string(kQueryKeyIdFile);
}

Result<SecretText> ReadKey(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid())
    return SystemError("opening " + path);
  std::array<char, SealKey::kSize + 1> bytes{};
  const ssize_t size = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  if (size != static_cast<ssize_t>(SealKey::kSize))
    return Error{ErrorCode::kInvalidArgument, path + " is no key: it has not 32 bytes"};
  return SecretText(std::string(bytes.data(), SealKey::kSize));
}

// Whole or not at all, whenever the machine stops; one that is there stays.
Result<void> MakeFile(const std::string& directory, const std::string& path,
                      std::string_view bytes) {
  // Two of several threads, or node processes, may be at it.
  std::string made = path + ".XXXXXX";
  const UniqueFd file(::mkostemp(made.data(), O_CLOEXEC));
  if (!file.valid())
    return SystemError("making " + made);
  if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::fsync(file.get()) != 0)
    return SystemError("writing " + made);
  if (::link(made.c_str(), path.c_str()) != 0 && errno != EEXIST)
    return SystemError("making " + path);
  (void)::unlink(made.c_str());
  const UniqueFd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid() || ::fsync(parent.get()) != 0)
    return SystemError("syncing " + directory);
  return {};
}

std::string IdOf(const SecretText& key) {
  Sha256Stream stream;
  stream.Add(key.text());
  stream.Add("id");
  return stream.Finish().Hex().substr(0, kIdDigits);
}

// Empty: there is none, since no database was ever made.
Result<std::string> ReadId(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid() && errno == ENOENT)
    return std::string();
  if (!file.valid())
    return SystemError("opening " + path);
  std::array<char, kIdDigits> digits{};
  if (::pread(file.get(), digits.data(), digits.size(), 0) != static_cast<ssize_t>(kIdDigits))
    return Error{ErrorCode::kInvalidArgument, path + " does not name a key"};
  return std::string(digits.data(), digits.size());
}

Error OtherKey(const std::string& directory, const std::string& id, const std::string& is) {
  return Error{ErrorCode::kUnavailable, "apps' databases on the server are those of the key " + id +
                                            ", and " + KeyPath(directory) + is +
                                            ": put it back from where it is kept"};
}

Result<SecretText> KeyOf(const std::string& directory) {
  const std::string path = KeyPath(directory);
  const std::string id = TRY(ReadId(IdPath(directory)));
  if (::access(path.c_str(), F_OK) != 0) {
    if (!id.empty())
      return OtherKey(directory, id, " is not there");
    const SealKey made = SealKey::Generate();
    TRY(MakeFile(directory, path, made.bytes()));
  }
  SecretText key = TRY(ReadKey(path));
  const std::string own = IdOf(key);
  if (id.empty())
    TRY(MakeFile(directory, IdPath(directory), own + "\n"));
  else if (id != own)
    return OtherKey(directory, id, " is another one");
  return key;
}

// `use` tells the name from the password.
std::string Derived(const SecretText& key, std::string_view use, AppId app) {
  Sha256Stream stream;
  stream.Add(key.text());
  stream.Add(use);
  stream.Add(std::to_string(app.number));
  return stream.Finish().Hex();
}

std::string NameFrom(const SecretText& key, AppId app) {
  return "cloister_" + Derived(key, "name ", app).substr(0, kNameDigits);
}

// Only the query process reads it: a file without a name.
Result<UniqueFd> LoginFile(const SqlServerAccount& account) {
  UniqueFd file(::memfd_create("query-login", MFD_CLOEXEC));
  const std::string bytes = EncodeMessage(
      QueryLogin{.user = account.name, .password = account.password, .database = account.name});
  if (!file.valid() ||
      ::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return SystemError("writing a login");
  return file;
}

}  // namespace

Result<std::string> QueryRoles::NameOf(AppId app) const {
  // Without a key no app has a database, unless it was lost.
  if (::access(KeyPath(state_dir_).c_str(), F_OK) != 0 && TRY(ReadId(IdPath(state_dir_))).empty())
    return std::string();
  const SecretText key = TRY(KeyOf(state_dir_));
  return NameFrom(key, app);
}

Result<void> QueryRoles::Check() const {
  TRY(NameOf({}));
  return server_.kind == SqlServerKind::kMariadb ? CheckMariadbServer(server_)
                                                 : CheckPostgresqlServer(server_);
}

Result<ServerDatabase> QueryRoles::UseOf(AppId app) const {
  ServerDatabase database{.name = TRY(NameOf(app)), .use = {}};
  if (!database.name.empty())
    database.use =
        TRY(server_.kind == SqlServerKind::kMariadb ? MariadbUseOf(server_, database.name)
                                                    : PostgresqlUseOf(server_, database.name));
  return database;
}

Result<SqlServerAccount> QueryRoles::AccountOf(AppId app) const {
  const SecretText key = TRY(KeyOf(state_dir_));
  return SqlServerAccount{.name = NameFrom(key, app),
                          .password = Derived(key, "password ", app),
                          .connections_max = kProcessesMax * (connections_ + 1)};
}

Result<void> QueryRoles::Make(const SqlServerAccount& account) const {
  return server_.kind == SqlServerKind::kMariadb ? MakeMariadbAccount(server_, account)
                                                 : MakePostgresqlAccount(server_, account);
}

// What a check works on. Where statements that define tables cannot be undone that is a copy, if
// the database is not too large for one.
Result<void> QueryRoles::MakeCheck(SqlServerAccount& account, QueryFiles& opened) const {
  opened.mode = QueryMode::kRolledBack;
  if (server_.kind != SqlServerKind::kMariadb)
    return {};
  SqlServerAccount copy = account;
  copy.name = MariadbCopyName(account.name);
  if (TRY(MakeMariadbCopy(server_, account, copy, kQueryCopyMax))) {
    opened.mode = QueryMode::kCopy;
    opened.copy = copy.name;
    account = std::move(copy);
  }
  return {};
}

Result<QueryFiles> QueryRoles::Open(AppId app, QueryPurpose purpose) const {
  SqlServerAccount account = TRY(AccountOf(app));
  TRY(Make(account));
  QueryFiles opened;
  opened.job = server_.kind == SqlServerKind::kMariadb ? WorkerJob::kQueryMariadb
                                                       : WorkerJob::kQueryPostgresql;
  const bool checks = purpose == QueryPurpose::kCheck;
  if (checks)
    TRY(MakeCheck(account, opened));
  const auto add = [&opened](UniqueFd fd) {
    opened.files.push_back(std::make_shared<const UniqueFd>(std::move(fd)));
  };
  add(TRY(LoginFile(account)));
  // One more, which belongs to no statement.
  const std::uint32_t count = (opened.mode == QueryMode::kRolledBack ? 1 : connections_) + 1;
  for (std::uint32_t i = 0; i < count; ++i)
    add(TRY(ConnectSqlServer(server_, kConnectMax)));
  return opened;
}

Result<void> QueryRoles::EndStatements(AppId app, Millis age) const {
  if (server_.kind != SqlServerKind::kPostgresql)
    return {};
  return EndPostgresqlStatements(server_, TRY(NameOf(app)), age);
}

Result<void> QueryRoles::Drop(AppId app) const {
  const std::string name = TRY(NameOf(app));
  if (name.empty())
    return {};
  return server_.kind == SqlServerKind::kMariadb ? DropMariadbAccount(server_, name)
                                                 : DropPostgresqlAccount(server_, name);
}

Result<void> QueryRoles::DropCopy(const std::string& copy) const {
  return DropMariadbCopy(server_, copy);
}

}  // namespace cloister
