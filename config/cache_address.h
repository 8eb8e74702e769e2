#pragma once

// Where the cache's Redis server is, from the settings.

#include <string>
#include <string_view>

#include "apis/backends/redis_address.h"
#include "apis/base/result.h"
#include "config/settings.h"

namespace cloister {

// "redis://[USER@]HOST[:PORT][/DATABASE]" with a name or an address ([IPv6] in brackets), or
// "unix:///PATH[?db=DATABASE&user=USER]". A password in it is refused: settings are shown.
Result<RedisAddress> ParseCacheUrl(std::string_view url);

// The directory of the socket of the node's own server, in the state directory, and its name there.
inline constexpr std::string_view kCacheDirectory = "cache";
inline constexpr std::string_view kCacheSocket = "redis.sock";
// The user of that server that may do what a node does. Whoever reaches the socket may be it.
inline constexpr std::string_view kCacheUser = "cloister";

// The server that the settings name, or the node's own. Settings are valid.
RedisAddress CacheAddress(const Settings& settings);

}  // namespace cloister
