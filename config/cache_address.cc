#include "config/cache_address.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr std::string_view kTcp = "redis://";
constexpr std::string_view kUnix = "unix://";
constexpr std::uint32_t kDatabaseMax = 1'000'000;

Error Wrong(std::string_view url, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument,
               "'" + std::string(url.substr(0, 80)) + "' " + std::string(why)};
}

template <typename Number>
std::optional<Number> NumberOf(std::string_view digits, Number low, Number high) {
  Number number{};
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || number < low ||
      number > high)
    return std::nullopt;
  return number;
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

Result<RedisAddress> ParseTcp(std::string_view url) {
  RedisAddress address;
  std::string_view rest = url.substr(kTcp.size());
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = rest.substr(0, at);
    if (user.find(':') != std::string_view::npos)
      return Error{ErrorCode::kInvalidArgument,
                   "holds a password; write it into a file and name that in password_file"};
    if (user.empty() || !std::ranges::all_of(user, IsWordChar))
      return Wrong(url, "has no user before '@'");
    address.user = user;
    rest.remove_prefix(at + 1);
  }
  std::string_view place = TakeUntil(rest, '/');
  if (!rest.empty()) {
    const auto database = NumberOf<std::uint32_t>(rest, 0, kDatabaseMax);
    if (!database)
      return Wrong(url, "has no number of a database after '/'");
    address.database = *database;
  }
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
  if (place.empty())
    return address;
  const auto port = NumberOf<std::uint16_t>(place, 1, 65535);
  if (!port)
    return Wrong(url, "has no port from 1 to 65535 after ':'");
  address.port = *port;
  return address;
}

Result<RedisAddress> ParseUnix(std::string_view url) {
  RedisAddress address;
  std::string_view rest = url.substr(kUnix.size());
  address.path = TakeUntil(rest, '?');
  if (!address.path.starts_with('/') || address.path.size() > 107)
    return Wrong(url, "names no absolute path of at most 107 characters");
  while (!rest.empty()) {
    std::string_view value = TakeUntil(rest, '&');
    const std::string_view key = TakeUntil(value, '=');
    const auto database = NumberOf<std::uint32_t>(value, 0, kDatabaseMax);
    if (key == "db" && database)
      address.database = *database;
    else if (key == "user" && !value.empty() && std::ranges::all_of(value, IsWordChar))
      address.user = value;
    else
      return Wrong(url, "has something after '?' that is neither db=NUMBER nor user=NAME");
  }
  return address;
}

}  // namespace

Result<RedisAddress> ParseCacheUrl(std::string_view url) {
  if (url.starts_with(kTcp))
    return ParseTcp(url);
  if (url.starts_with(kUnix))
    return ParseUnix(url);
  return Wrong(url, "begins neither with redis:// nor with unix://");
}

RedisAddress CacheAddress(const Settings& settings) {
  if (settings.cache.url.empty()) {
    RedisAddress own;
    own.path = settings.node.state_dir + "/" + std::string(kCacheDirectory) + "/" +
               std::string(kCacheSocket);
    own.user = kCacheUser;
    return own;
  }
  Result<RedisAddress> named = ParseCacheUrl(settings.cache.url);
  CHECK(named.ok());
  return std::move(named).value();
}

}  // namespace cloister
