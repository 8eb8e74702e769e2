#include "apis/backends/mariadb.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "apis/base/check.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using namespace std::string_view_literals;

// A server that takes every statement, and breaks off the rows of those that list databases.
class FakeMariadb {
 public:
  FakeMariadb() : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    CHECK(path().size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path().c_str(), path().size() + 1);
    CHECK(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
          0);
    CHECK(::listen(listener_.get(), 8) == 0);
    thread_ = std::thread([this] { Serve(); });
  }
  FakeMariadb(const FakeMariadb&) = delete;
  FakeMariadb& operator=(const FakeMariadb&) = delete;
  ~FakeMariadb() {
    ending_ = true;
    thread_.join();
  }

  SqlServerAddress Address() const {
    return {.kind = SqlServerKind::kMariadb, .socket = path(), .user = "node"};
  }
  std::vector<std::string> Asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  std::string path() const { return directory_.At("socket"); }

  // False: the test is over.
  bool Wait(int fd) const {
    pollfd waited{.fd = fd, .events = POLLIN, .revents = 0};
    while (!ending_)
      if (::poll(&waited, 1, 10) > 0)
        return true;
    return false;
  }
  void Serve() {
    while (Wait(listener_.get())) {
      const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (connection.valid())
        ServeOne(connection.get());
    }
  }

  static std::size_t Byte(char byte) { return static_cast<unsigned char>(byte); }
  // The payload of the next packet; empty: there is none.
  std::string Receive(int fd) const {
    std::string bytes;
    std::size_t size = 4;
    while (bytes.size() < size) {
      std::array<char, 4096> part{};
      if (!Wait(fd))
        return {};
      const ssize_t got = ::recv(fd, part.data(), std::min(part.size(), size - bytes.size()), 0);
      if (got <= 0)
        return {};
      bytes.append(part.data(), static_cast<std::size_t>(got));
      if (bytes.size() == 4)
        size += Byte(bytes[0]) | Byte(bytes[1]) << 8U;
    }
    return bytes.substr(4);
  }
  static void Send(int fd, unsigned number, std::string_view payload) {
    std::string packet = {static_cast<char>(payload.size() & 0xff),
                          static_cast<char>(payload.size() >> 8U), '\0', static_cast<char>(number)};
    packet += payload;
    (void)::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL);
  }

  void ServeOne(int fd) {
    constexpr std::string_view kDone = "\0\0\0\2\0\0\0"sv;
    Send(fd, 0,
         "\x0a"
         "5.5.5-10.11.0-MariaDB\0"
         "\1\0\0\0"
         "saltsalt\0"
         "\xff\xf7\x2d\2\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0"
         "saltsaltsalt\0"
         "mysql_native_password\0"sv);
    if (Receive(fd).empty())
      return;
    Send(fd, 2, kDone);
    for (std::string asked = Receive(fd); asked.starts_with('\3'); asked = Receive(fd)) {
      asked.erase(0, 1);
      {
        const std::lock_guard lock(mutex_);
        asked_.push_back(asked);
      }
      if (!asked.starts_with("SELECT schema_name")) {
        Send(fd, 1, kDone);
        continue;
      }
      Send(fd, 1, "\1"sv);
      Send(fd, 2, "\3def\0\0\0\1a\1a\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0"sv);
      Send(fd, 3, "\xfe\0\0\2\0"sv);
      Send(fd, 4, "\5other"sv);
      Send(fd, 5, "\xff\x25\5#70100Query execution was interrupted"sv);
    }
  }

  TempDir directory_;
  UniqueFd listener_;
  std::atomic<bool> ending_ = false;
  std::mutex mutex_;
  std::vector<std::string> asked_;
  std::thread thread_;
};

TEST(MariadbTest, RowsThatAreBrokenOffAreNoRows) {
  FakeMariadb server;
  const Result<void> dropped = DropMariadbAccount(server.Address(), "cloister_a");
  ASSERT_FALSE(dropped.ok());
  EXPECT_EQ(ErrorCode::kUnavailable, dropped.error().code);
  EXPECT_EQ("Query execution was interrupted (error 1317)", dropped.error().message);
  // Copies that were not listed would stay for ever.
  for (const std::string& asked : server.Asked())
    EXPECT_FALSE(asked.starts_with("DROP")) << asked;
}

TEST(MariadbTest, WhatHasNoRowsIsDone) {
  FakeMariadb server;
  const Result<void> dropped = DropMariadbCopy(server.Address(), "cloister_a_c1");
  ASSERT_TRUE(dropped.ok()) << dropped.error().message;
  std::vector<std::string> dropping;
  for (const std::string& asked : server.Asked())
    if (!asked.starts_with("SET"))
      dropping.push_back(asked);
  EXPECT_EQ((std::vector<std::string>{"DROP DATABASE IF EXISTS `cloister_a_c1`",
                                      "DROP USER IF EXISTS 'cloister_a_c1'@'%'"}),
            dropping);
}

}  // namespace
}  // namespace cloister
