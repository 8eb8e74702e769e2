#include "config/query_address.h"

#include <string>

#include "apis/base/check.h"
#include "config/server_url.h"

namespace cloister {
namespace {

constexpr std::string_view kPostgresql = "postgresql://";

Result<void> ReadOptions(std::string_view url, std::string_view rest, SqlServerAddress& address) {
  while (!rest.empty()) {
    std::string_view value = TakeUntil(rest, '&');
    const std::string_view key = TakeUntil(value, '=');
    if (key == "host" && value.starts_with('/') && value.size() < 80)
      address.directory = value;
    else if (const auto port = UrlNumber<std::uint16_t>(value, 1, 65535); key == "port" && port)
      address.port = *port;
    else
      return WrongUrl(url,
                      "has something after '?' that is neither host=/DIRECTORY nor port=NUMBER");
  }
  return {};
}

}  // namespace

Result<SqlServerAddress> ParseQueryServer(std::string_view url) {
  if (!url.starts_with(kPostgresql))
    return WrongUrl(url, "does not begin with postgresql://");
  SqlServerAddress address;
  std::string_view rest = url.substr(kPostgresql.size());
  TRY(TakeUrlUser(url, rest, address.user));
  std::string_view before = TakeUntil(rest, '?');
  if (const std::string_view place = TakeUntil(before, '/'); !place.empty())
    TRY(ReadUrlPlace(url, place, address.host, address.port));
  if (!before.empty() && !IsUrlWord(before))
    return WrongUrl(url, "has no name of a database after '/'");
  if (!before.empty())
    address.database = before;
  TRY(ReadOptions(url, rest, address));
  if (address.directory.empty() == address.host.empty())
    return WrongUrl(url, "names a host or, after '?host=', the directory of a unix socket");
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
