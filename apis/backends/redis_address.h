#pragma once

// Where a Redis server is, and who we are there.

#include <cstdint>
#include <string>

namespace cloister {

struct RedisAddress {
  std::string path;  // of a unix socket; empty: host and port
  std::string host;
  std::uint16_t port = 6379;
  std::string user;      // empty: the server's default user
  std::string password;  // with no user and no password nobody logs in
  std::uint32_t database = 0;

  bool operator==(const RedisAddress&) const = default;
};

}  // namespace cloister
