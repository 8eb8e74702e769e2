#include "config/query_address.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr std::string_view kPostgresql = "postgresql://";

Error Wrong(std::string_view url, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument,
               "'" + std::string(url.substr(0, 80)) + "' " + std::string(why)};
}

bool IsWordChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

bool IsHostChar(char c) {
  return IsWordChar(c) || c == ':';
}

// What stands before the first `mark`, which goes too; all of `rest` without one.
std::string_view TakeUntil(std::string_view& rest, char mark) {
  const std::size_t end = std::min(rest.find(mark), rest.size());
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return taken;
}

bool ReadPort(std::string_view digits, std::uint16_t& port) {
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() && port != 0;
}

Result<void> ReadUser(std::string_view url, std::string_view& rest, SqlServerAddress& address) {
  const std::size_t at = rest.substr(0, rest.find('/')).rfind('@');
  if (at == std::string_view::npos)
    return {};
  const std::string_view user = rest.substr(0, at);
  if (user.find(':') != std::string_view::npos)
    return Error{ErrorCode::kInvalidArgument,
                 "holds a password; write it into a file and name that in password_file"};
  if (user.empty() || !std::ranges::all_of(user, IsWordChar))
    return Wrong(url, "has no user before '@'");
  address.user = user;
  rest.remove_prefix(at + 1);
  return {};
}

Result<void> ReadPlace(std::string_view url, std::string_view place, SqlServerAddress& address) {
  if (place.empty())
    return {};
  if (place.starts_with('[')) {
    place.remove_prefix(1);
    address.host = TakeUntil(place, ']');
    if (!place.empty() && !place.starts_with(':'))
      return Wrong(url, "has something after ']' that is no port");
    place.remove_prefix(place.empty() ? 0 : 1);
  } else {
    address.host = TakeUntil(place, ':');
  }
  if (address.host.empty() || !std::ranges::all_of(address.host, IsHostChar))
    return Wrong(url, "has no host");
  if (!place.empty() && !ReadPort(place, address.port))
    return Wrong(url, "has no port from 1 to 65535 after ':'");
  return {};
}

Result<void> ReadOptions(std::string_view url, std::string_view rest, SqlServerAddress& address) {
  while (!rest.empty()) {
    std::string_view value = TakeUntil(rest, '&');
    const std::string_view key = TakeUntil(value, '=');
    if (key == "host" && value.starts_with('/') && value.size() < 80)
      address.directory = value;
    else if (key != "port" || !ReadPort(value, address.port))
      return Wrong(url, "has something after '?' that is neither host=/DIRECTORY nor port=NUMBER");
  }
  return {};
}

}  // namespace

Result<SqlServerAddress> ParseQueryServer(std::string_view url) {
  if (!url.starts_with(kPostgresql))
    return Wrong(url, "does not begin with postgresql://");
  SqlServerAddress address;
  std::string_view rest = url.substr(kPostgresql.size());
  TRY(ReadUser(url, rest, address));
  std::string_view before = TakeUntil(rest, '?');
  TRY(ReadPlace(url, TakeUntil(before, '/'), address));
  if (!before.empty()) {
    if (!std::ranges::all_of(before, IsWordChar))
      return Wrong(url, "has no name of a database after '/'");
    address.database = before;
  }
  TRY(ReadOptions(url, rest, address));
  if (address.directory.empty() == address.host.empty())
    return Wrong(url, "names a host or, after '?host=', the directory of a unix socket");
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
