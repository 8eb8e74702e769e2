#include "config/cache_address.h"

#include <optional>

#include "apis/base/check.h"
#include "config/server_url.h"

namespace cloister {
namespace {

constexpr std::string_view kTcp = "redis://";
constexpr std::string_view kUnix = "unix://";
constexpr std::uint32_t kDatabaseMax = 1'000'000;

Result<RedisAddress> ParseTcp(std::string_view url) {
  RedisAddress address;
  std::string_view rest = url.substr(kTcp.size());
  TRY(TakeUrlUser(url, rest, address.user));
  const std::string_view place = TakeUntil(rest, '/');
  if (!rest.empty()) {
    const auto database = UrlNumber<std::uint32_t>(rest, 0, kDatabaseMax);
    if (!database)
      return WrongUrl(url, "has no number of a database after '/'");
    address.database = *database;
  }
  TRY(ReadUrlPlace(url, place, address.host, address.port));
  return address;
}

Result<RedisAddress> ParseUnix(std::string_view url) {
  RedisAddress address;
  std::string_view rest = url.substr(kUnix.size());
  address.path = TakeUntil(rest, '?');
  if (!address.path.starts_with('/') || address.path.size() > 107)
    return WrongUrl(url, "names no absolute path of at most 107 characters");
  while (!rest.empty()) {
    std::string_view value = TakeUntil(rest, '&');
    const std::string_view key = TakeUntil(value, '=');
    const auto database = UrlNumber<std::uint32_t>(value, 0, kDatabaseMax);
    if (key == "db" && database)
      address.database = *database;
    else if (key == "user" && IsUrlWord(value))
      address.user = value;
    else
      return WrongUrl(url, "has something after '?' that is neither db=NUMBER nor user=NAME");
  }
  return address;
}

}  // namespace

Result<RedisAddress> ParseCacheUrl(std::string_view url) {
  if (url.starts_with(kTcp))
    return ParseTcp(url);
  if (url.starts_with(kUnix))
    return ParseUnix(url);
  return WrongUrl(url, "begins neither with redis:// nor with unix://");
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
