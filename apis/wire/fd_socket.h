#pragma once

// A control socket: SOCK_SEQPACKET, one message a packet, descriptors beside it.
//
// Blocking or not as the descriptor is; the node waits for it on its loop and then calls Receive
// until it says kWouldBlock. Received descriptors are close-on-exec.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"

namespace cloister {

// The most bytes of a control message and the most descriptors with one.
inline constexpr std::size_t kControlMessageMax = 128 * 1024;
inline constexpr std::size_t kControlFdsMax = 64;

struct Packet {
  std::string bytes;
  std::vector<UniqueFd> fds;
};

enum class ReceiveState { kPacket, kWouldBlock, kClosed };

struct Received {
  ReceiveState state = ReceiveState::kClosed;
  Packet packet;
};

// A connected pair of control sockets, close-on-exec, blocking.
Result<std::pair<UniqueFd, UniqueFd>> MakeControlPair();

// Sends one packet whole. kUnavailable when the peer is gone or, on a non-blocking socket, full.
Result<void> SendPacket(int fd, std::string_view bytes, const std::vector<int>& fds = {});

// Takes one packet. kProtocol when it is larger than kControlMessageMax or carries more than
// kControlFdsMax descriptors; nothing of it is kept then.
Result<Received> ReceivePacket(int fd);

}  // namespace cloister
