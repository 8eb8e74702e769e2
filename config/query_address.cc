#include "config/query_address.h"

#include <string>

#include "apis/base/check.h"
#include "config/server_url.h"

namespace cloister {
namespace {

constexpr std::string_view kPostgresql = "postgresql://";
constexpr std::string_view kMariadb = "mariadb://";
constexpr std::size_t kPathMax = 80;

bool IsPath(std::string_view value) {
  return value.starts_with('/') && value.size() < kPathMax;
}

Result<void> ReadOptions(std::string_view url, std::string_view rest, SqlServerAddress& address) {
  const bool is_mariadb = address.kind == SqlServerKind::kMariadb;
  while (!rest.empty()) {
    std::string_view value = TakeUntil(rest, '&');
    const std::string_view key = TakeUntil(value, '=');
    const auto port = UrlNumber<std::uint16_t>(value, 1, 65535);
    if (is_mariadb && key == "socket" && IsPath(value))
      address.socket = value;
    else if (!is_mariadb && key == "host" && IsPath(value))
      address.directory = value;
    else if (!is_mariadb && key == "port" && port)
      address.port = *port;
    else
      return WrongUrl(url, is_mariadb ? "has something after '?' that is not socket=/PATH"
                                      : "has something after '?' that is neither host=/DIRECTORY "
                                        "nor port=NUMBER");
  }
  return {};
}

Result<SqlServerAddress> KindOf(std::string_view url, std::string_view& rest) {
  rest = url;
  if (url.starts_with(kPostgresql)) {
    rest.remove_prefix(kPostgresql.size());
    return SqlServerAddress{};
  }
  if (url.starts_with(kMariadb)) {
    rest.remove_prefix(kMariadb.size());
    return SqlServerAddress{
        .kind = SqlServerKind::kMariadb, .port = 3306, .user = "root", .database = {}};
  }
  return WrongUrl(url, "does not begin with postgresql:// or mariadb://");
}

}  // namespace

Result<SqlServerAddress> ParseQueryServer(std::string_view url) {
  std::string_view rest;
  SqlServerAddress address = TRY(KindOf(url, rest));
  const bool is_mariadb = address.kind == SqlServerKind::kMariadb;
  TRY(TakeUrlUser(url, rest, address.user));
  std::string_view before = TakeUntil(rest, '?');
  if (const std::string_view place = TakeUntil(before, '/'); !place.empty())
    TRY(ReadUrlPlace(url, place, address.host, address.port));
  if (is_mariadb && !before.empty())
    return WrongUrl(url, "names a database after '/', and none is wanted");
  if (!before.empty() && !IsUrlWord(before))
    return WrongUrl(url, "has no name of a database after '/'");
  if (!before.empty())
    address.database = before;
  TRY(ReadOptions(url, rest, address));
  const bool has_socket = !address.directory.empty() || !address.socket.empty();
  if (has_socket != address.host.empty())
    return WrongUrl(url, is_mariadb ? "names a host or, after '?socket=', a unix socket"
                                    : "names a host or, after '?host=', the directory of a unix "
                                      "socket");
  return address;
}

std::optional<SqlServerAddress> QueryServerAddress(const Settings& settings) {
  if (settings.query.server.empty())
    return std::nullopt;
  Result<SqlServerAddress> named = ParseQueryServer(settings.query.server);
  CHECK(named.ok());
  return std::move(named).value();
}

}  // namespace cloister
