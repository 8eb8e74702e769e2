#include "config/cache_address.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

struct Good {
  const char* url;
  RedisAddress address;
};

RedisAddress Tcp(const char* host, std::uint16_t port, const char* user, std::uint32_t database) {
  return {
      .path = {}, .host = host, .port = port, .user = user, .password = {}, .database = database};
}
RedisAddress Unix(const char* path, const char* user, std::uint32_t database) {
  return {.path = path, .host = {}, .user = user, .password = {}, .database = database};
}

TEST(CacheAddressTest, UrlsNameAServer) {
  const Good kGood[] = {
      {"redis://cache.example", Tcp("cache.example", 6379, "", 0)},
      {"redis://10.0.0.1:7000/15", Tcp("10.0.0.1", 7000, "", 15)},
      {"redis://node-1@cache:6379", Tcp("cache", 6379, "node-1", 0)},
      {"redis://[::1]", Tcp("::1", 6379, "", 0)},
      {"redis://[fd00::1]:65535/0", Tcp("fd00::1", 65535, "", 0)},
      {"redis://host/", Tcp("host", 6379, "", 0)},
      {"unix:///run/redis.sock", Unix("/run/redis.sock", "", 0)},
      {"unix:///run/redis.sock?db=3&user=app", Unix("/run/redis.sock", "app", 3)},
  };
  for (const Good& good : kGood) {
    const Result<RedisAddress> parsed = ParseCacheUrl(good.url);
    ASSERT_TRUE(parsed.ok()) << good.url << ": " << parsed.error().message;
    EXPECT_EQ(parsed.value(), good.address) << good.url;
  }
}

TEST(CacheAddressTest, WhatNamesNoneIsRefusedWithTheReason) {
  const std::pair<const char*, const char*> kBad[] = {
      {"", "begins neither"},
      {"http://host", "begins neither"},
      {"redis://", "no host"},
      {"redis://:6379", "no host"},
      {"redis://ho st", "no host"},
      {"redis://host:0", "no port"},
      {"redis://host:65536", "no port"},
      {"redis://host:x", "no port"},
      {"redis://[::1]x", "after ']'"},
      {"redis://host/x", "database"},
      {"redis://host/-1", "database"},
      {"redis://@host", "no user"},
      {"redis://user:secret@host", "password_file"},
      {"redis://:secret@host", "password_file"},
      {"redis://user:sec/ret@host", "password_file"},
      {"unix://run/redis.sock", "absolute"},
      {"unix:///run/redis.sock?db=x", "db=NUMBER"},
      {"unix:///run/redis.sock?password=x", "db=NUMBER"},
  };
  for (const auto& [url, why] : kBad) {
    const Result<RedisAddress> parsed = ParseCacheUrl(url);
    ASSERT_FALSE(parsed.ok()) << url;
    EXPECT_NE(parsed.error().message.find(why), std::string::npos) << parsed.error().message;
    EXPECT_EQ(parsed.error().message.find("sec"), std::string::npos) << "a password is not shown";
  }
}

TEST(CacheAddressTest, WithoutAUrlItIsTheNodesOwn) {
  Settings settings;
  EXPECT_EQ(CacheAddress(settings), Unix("/var/lib/cloister/cache/redis.sock", "cloister", 0));
  settings.cache.url = "redis://host/2";
  EXPECT_EQ(CacheAddress(settings), Tcp("host", 6379, "", 2));
}

}  // namespace
}  // namespace cloister
