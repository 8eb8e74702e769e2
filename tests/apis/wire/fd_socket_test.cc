#include "apis/wire/fd_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace cloister {
namespace {

std::size_t OpenDescriptors() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

ino_t InodeOf(int fd) {
  struct stat status = {};
  EXPECT_EQ(0, ::fstat(fd, &status));
  return status.st_ino;
}

class FdSocketTest : public testing::Test {
 protected:
  FdSocketTest() {
    auto pair = MakeControlPair();
    EXPECT_TRUE(pair.ok());
    near_ = std::move(pair.value().first);
    far_ = std::move(pair.value().second);
  }
  UniqueFd near_;
  UniqueFd far_;
};

TEST_F(FdSocketTest, PacketsKeepTheirBoundaries) {
  ASSERT_TRUE(SendPacket(near_.get(), "one").ok());
  ASSERT_TRUE(SendPacket(near_.get(), "two").ok());
  for (const char* const expected : {"one", "two"}) {
    const auto received = ReceivePacket(far_.get());
    ASSERT_TRUE(received.ok());
    EXPECT_EQ(ReceiveState::kPacket, received.value().state);
    EXPECT_EQ(expected, received.value().packet.bytes);
    EXPECT_TRUE(received.value().packet.fds.empty());
  }
}

TEST_F(FdSocketTest, DescriptorsTravelBeside) {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd zero(::open("/dev/zero", O_RDONLY));
  ASSERT_TRUE(SendPacket(near_.get(), "x", {null.get(), zero.get()}).ok());
  auto received = ReceivePacket(far_.get());
  ASSERT_TRUE(received.ok());
  const std::vector<UniqueFd>& fds = received.value().packet.fds;
  ASSERT_EQ(2u, fds.size());
  EXPECT_EQ(InodeOf(null.get()), InodeOf(fds[0].get()));
  EXPECT_EQ(InodeOf(zero.get()), InodeOf(fds[1].get()));
  for (const UniqueFd& fd : fds)
    EXPECT_NE(0, ::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC);
}

TEST_F(FdSocketTest, TheLargestPacketAndTheMostDescriptorsFit) {
  const std::vector<int> fds(kControlFdsMax, 0);
  const std::string bytes(kControlMessageMax, 'x');
  ASSERT_TRUE(SendPacket(near_.get(), bytes, fds).ok());
  const auto received = ReceivePacket(far_.get());
  ASSERT_TRUE(received.ok());
  EXPECT_EQ(bytes.size(), received.value().packet.bytes.size());
  EXPECT_EQ(kControlFdsMax, received.value().packet.fds.size());
}

TEST_F(FdSocketTest, APacketThatIsTooLargeIsRefusedAndLeavesNothing) {
  const int size = static_cast<int>(4 * kControlMessageMax);
  ASSERT_EQ(0, ::setsockopt(near_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
  const std::string bytes(kControlMessageMax + 1, 'x');
  ASSERT_EQ(static_cast<ssize_t>(bytes.size()), ::send(near_.get(), bytes.data(), bytes.size(), 0));
  const auto received = ReceivePacket(far_.get());
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(ErrorCode::kProtocol, received.error().code);
  // The next one is read as if nothing had been.
  ASSERT_TRUE(SendPacket(near_.get(), "fine").ok());
  EXPECT_EQ("fine", ReceivePacket(far_.get()).value().packet.bytes);
}

TEST_F(FdSocketTest, TooManyDescriptorsAreRefusedAndClosed) {
  const std::size_t open_before = OpenDescriptors();
  const std::size_t count = kControlFdsMax + 1;
  const std::vector<int> fds(count, 0);
  char byte = 'x';
  iovec part{.iov_base = &byte, .iov_len = 1};
  std::string ancillary(CMSG_SPACE(count * sizeof(int)), '\0');
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.data();
  message.msg_controllen = ancillary.size();
  cmsghdr* const head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(count * sizeof(int));
  std::copy(fds.begin(), fds.end(), reinterpret_cast<int*>(CMSG_DATA(head)));
  ASSERT_EQ(1, ::sendmsg(near_.get(), &message, 0));
  const auto received = ReceivePacket(far_.get());
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(ErrorCode::kProtocol, received.error().code);
  EXPECT_EQ(open_before, OpenDescriptors());
}

TEST_F(FdSocketTest, AnEmptyNonBlockingSocketSaysSo) {
  ASSERT_EQ(0, ::fcntl(far_.get(), F_SETFL, O_NONBLOCK));
  EXPECT_EQ(ReceiveState::kWouldBlock, ReceivePacket(far_.get()).value().state);
}

TEST_F(FdSocketTest, WhatWasSentBeforeTheEndArrives) {
  ASSERT_TRUE(SendPacket(near_.get(), "last").ok());
  near_.Reset();
  EXPECT_EQ("last", ReceivePacket(far_.get()).value().packet.bytes);
  EXPECT_EQ(ReceiveState::kClosed, ReceivePacket(far_.get()).value().state);
  const auto sent = SendPacket(far_.get(), "anybody?");
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(ErrorCode::kUnavailable, sent.error().code);
}

TEST_F(FdSocketTest, AFullNonBlockingSocketIsUnavailable) {
  ASSERT_EQ(0, ::fcntl(near_.get(), F_SETFL, O_NONBLOCK));
  Result<void> sent;
  for (int i = 0; i < 10000 && sent.ok(); ++i)
    sent = SendPacket(near_.get(), std::string(10000, 'x'));
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(ErrorCode::kUnavailable, sent.error().code);
}

TEST(FdSocketDeathTest, AnEmptyPacketIsOurBug) {
  EXPECT_DEATH((void)SendPacket(0, ""), "CHECK failed");
}

}  // namespace
}  // namespace cloister
