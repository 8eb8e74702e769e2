#include "daemon/keeper/listeners.h"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ListenersTest, PortZeroBecomesAFreeOne) {
  const auto opened = OpenTcpListener("http", "127.0.0.1:0");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_THAT(opened.value().address, StartsWith("127.0.0.1:"));
  EXPECT_NE(opened.value().address, "127.0.0.1:0");
}

TEST(ListenersTest, APortInUseSaysWhatToDo) {
  const auto first = OpenTcpListener("http", "127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const auto second = OpenTcpListener("http", first.value().address);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(second.error().message, HasSubstr(first.value().address));
  EXPECT_THAT(second.error().message, HasSubstr("--listen"));
}

TEST(ListenersTest, AnAddressOfAnotherMachineIsRefused) {
  const auto opened = OpenTcpListener("http", "192.0.2.1:0");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument);
}

TEST(ListenersTest, EverybodyMayConnectToTheUnixSocket) {
  const TempDir directory;
  const auto opened = OpenUnixListener("admin", directory.At("admin.sock"));
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  struct stat status = {};
  ASSERT_EQ(::stat(directory.At("admin.sock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0666U);
}

TEST(ListenersTest, AStaleSocketIsReplacedALiveOneIsNot) {
  const TempDir directory;
  const std::string path = directory.At("admin.sock");
  {
    const auto first = OpenUnixListener("admin", path);
    ASSERT_TRUE(first.ok());
    const auto second = OpenUnixListener("admin", path);
    ASSERT_FALSE(second.ok());
    EXPECT_THAT(second.error().message, HasSubstr("listens on " + path));
  }
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(OpenUnixListener("admin", path).ok());
}

TEST(ListenersTest, WhatIsNoSocketIsLeftAlone) {
  const TempDir directory;
  directory.Write("admin.sock", "precious");
  const auto opened = OpenUnixListener("admin", directory.At("admin.sock"));
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("not a socket"));
  EXPECT_EQ(directory.Read("admin.sock"), "precious");
}

TEST(ListenersTest, ClosedForWhoeverHasADuplicate) {
  const TempDir directory;
  const std::string path = directory.At("admin.sock");
  std::vector<Listener> listeners;
  auto http = OpenTcpListener("http", "127.0.0.1:0");
  auto admin = OpenUnixListener("admin", path);
  ASSERT_TRUE(http.ok() && admin.ok());
  listeners.push_back(std::move(http).value());
  listeners.push_back(std::move(admin).value());
  const UniqueFd node_http(::dup(listeners[0].fd.get()));
  const UniqueFd node_admin(::dup(listeners[1].fd.get()));
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(node_http.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto connect = [&address, size](const UniqueFd& client) {
    return ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), size);
  };
  const UniqueFd before(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(before), 0);
  const UniqueFd accepted(::accept(node_http.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted.valid());

  CloseListeners(listeners);
  EXPECT_TRUE(listeners.empty());
  EXPECT_FALSE(std::filesystem::exists(path));
  const UniqueFd after(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(after), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_TRUE(OpenUnixListener("admin", path).ok());
  char byte = 'x';
  EXPECT_EQ(::send(accepted.get(), &byte, 1, 0), 1);
  EXPECT_EQ(::recv(before.get(), &byte, 1, 0), 1);

  CloseListeners(listeners);
  EXPECT_TRUE(std::filesystem::exists(path)) << "it is somebody else's by now";
}

TEST(ListenersTest, DirectoryOfTheSocketIsTheGroups) {
  const TempDir directory;
  const std::string path = directory.At("run");
  const auto mode_for = [&path](const std::string& group) {
    const Result<void> prepared = PrepareSocketDirectory(path, group);
    EXPECT_TRUE(prepared.ok()) << prepared.error().message;
    struct stat status = {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return status.st_mode & 07777;
  };
  EXPECT_EQ(mode_for("no-such-group"), 0700U);
  EXPECT_EQ(mode_for(::getgrgid(::getegid())->gr_name), 0750U) << "it exists, and is ours";
  EXPECT_EQ(mode_for(""), 0700U);
}

TEST(ListenersTest, DirectoryOfSomebodyElseIsNoPlaceForASocket) {
  const TempDir directory;
  const std::string path = directory.At("run");
  std::filesystem::create_directory_symlink("/", path);
  EXPECT_FALSE(PrepareSocketDirectory(path, "").ok());
  if (::geteuid() == 0) {
    const std::string other = directory.At("other");
    ASSERT_EQ(::mkdir(other.c_str(), 0700), 0);
    ASSERT_EQ(::chown(other.c_str(), 1, 1), 0);
    const auto prepared = PrepareSocketDirectory(other, "");
    ASSERT_FALSE(prepared.ok());
    EXPECT_THAT(prepared.error().message, HasSubstr("belongs to uid 1;"));
  }
}

TEST(ListenersTest, APathThatIsTooLongSaysSo) {
  const TempDir directory;
  const auto opened = OpenUnixListener("admin", directory.At(std::string(120, 'x')));
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("107"));
}

}  // namespace
}  // namespace cloister
