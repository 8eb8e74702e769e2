#pragma once

// The keeper's end of the control socket to one child: sends without ever blocking, reads what is
// there.
//
// A child may be stopped or busy, so what its socket does not take waits in a bounded queue. A link
// is broken when the peer closed it, broke the protocol or let the queue overflow; its owner then
// ends the child. What a peer said before it closed is still received.

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/messages.h"

namespace cloister {

class ControlLink {
 public:
  // The most packets that wait for a peer that does not read.
  static constexpr std::size_t kQueueMax = 65536;

  // The link and the child's end of it, which is close-on-exec and blocking.
  static Result<std::pair<ControlLink, UniqueFd>> Create();

  template <typename Message>
  void Send(const Message& message) {
    SendRaw({.bytes = EncodeMessage(message), .fds = {}});
  }
  template <typename Message>
  void Send(const Message& message, std::vector<UniqueFd>&& fds) {
    SendRaw({.bytes = EncodeMessage(message), .fds = std::move(fds)});
  }
  // Sends what waits, as far as the socket takes it.
  void Flush();
  // The next packet; kWouldBlock when there is none now, kClosed when the link is broken.
  Received Receive();

  int fd() const { return fd_.get(); }
  bool broken() const { return !why_broken_.empty(); }
  // One line for the log; empty while the link holds.
  const std::string& why_broken() const { return why_broken_; }
  bool wants_to_write() const { return !queue_.empty(); }
  // Marks the link as broken from this side: the peer said what it must not say.
  void Break(std::string why);

 private:
  explicit ControlLink(UniqueFd fd) : fd_(std::move(fd)) {}
  void SendRaw(Packet packet);

  UniqueFd fd_;
  std::deque<Packet> queue_;
  bool deaf_ = false;  // the peer receives no more; it may have said something
  std::string why_broken_;
};

}  // namespace cloister
