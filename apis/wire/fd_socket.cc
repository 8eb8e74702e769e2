#include "apis/wire/fd_socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr std::size_t kAncillarySize = CMSG_SPACE(kControlFdsMax * sizeof(int));

std::vector<UniqueFd> TakeFds(msghdr& message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
      continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> MakeControlPair() {
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return SystemError("socketpair");
  // A packet must fit whole; the default buffer is smaller than kControlMessageMax on some hosts.
  const int size = static_cast<int>(2 * kControlMessageMax);
  for (const int end : ends)
    (void)::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Result<void> SendPacket(int fd, std::string_view bytes, const std::vector<int>& fds) {
  CHECK(!bytes.empty() && bytes.size() <= kControlMessageMax && fds.size() <= kControlFdsMax);
  iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<char, kAncillarySize> ancillary = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    const std::size_t fds_size = fds.size() * sizeof(int);
    message.msg_control = ancillary.data();
    message.msg_controllen = CMSG_SPACE(fds_size);
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(fds_size);
    std::memcpy(CMSG_DATA(head), fds.data(), fds_size);
  }
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    Error error = SystemError("sendmsg");
    if (errno == EPIPE || errno == ECONNRESET || errno == EAGAIN)
      error.code = ErrorCode::kUnavailable;
    return error;
  }
  return {};
}

Result<Received> ReceivePacket(int fd) {
  Received received;
  received.packet.bytes.resize(kControlMessageMax);
  iovec part{.iov_base = received.packet.bytes.data(), .iov_len = received.packet.bytes.size()};
  alignas(cmsghdr) std::array<char, kAncillarySize> ancillary = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.data();
  message.msg_controllen = ancillary.size();
  ssize_t size = -1;
  do {
    size = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    // A peer that went without reading all says so once, before what it had sent itself.
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0) {
    received.packet.bytes.clear();
    if (errno == EAGAIN) {
      received.state = ReceiveState::kWouldBlock;
      return received;
    }
    return SystemError("recvmsg");
  }
  received.packet.fds = TakeFds(message);
  received.packet.bytes.resize(static_cast<std::size_t>(size));
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return Error{ErrorCode::kProtocol, "a control message that is too large"};
  if (size > 0)
    received.state = ReceiveState::kPacket;
  return received;
}

}  // namespace cloister
