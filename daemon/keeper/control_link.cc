#include "daemon/keeper/control_link.h"

#include <fcntl.h>

#include <cerrno>

namespace cloister {

Result<std::pair<ControlLink, UniqueFd>> ControlLink::Create() {
  auto ends = TRY(MakeControlPair());
  if (::fcntl(ends.first.get(), F_SETFL, O_NONBLOCK) != 0)
    return SystemError("fcntl");
  return std::pair(ControlLink(std::move(ends.first)), std::move(ends.second));
}

void ControlLink::SendRaw(Packet packet) {
  if (broken() || deaf_)
    return;
  if (queue_.size() == kQueueMax)
    return Break("it does not read its control socket");
  queue_.push_back(std::move(packet));
  Flush();
}

void ControlLink::Flush() {
  while (!queue_.empty()) {
    const Packet& packet = queue_.front();
    std::vector<int> fds;
    fds.reserve(packet.fds.size());
    for (const UniqueFd& fd : packet.fds)
      fds.push_back(fd.get());
    const Result<void> sent = SendPacket(fd_.get(), packet.bytes, fds);
    if (!sent.ok()) {
      // A full socket is the only failure that passes; errno is SendPacket's last.
      if (errno == EAGAIN)
        return;
      deaf_ = true;
      queue_.clear();
      return;
    }
    queue_.pop_front();
  }
}

Received ControlLink::Receive() {
  if (broken())
    return {};
  Result<Received> received = ReceivePacket(fd_.get());
  if (!received.ok()) {
    Break(received.error().message);
    return {};
  }
  if (received.value().state == ReceiveState::kClosed)
    Break("it closed its control socket");
  return std::move(received).value();
}

void ControlLink::Break(std::string why) {
  if (!broken())
    why_broken_ = std::move(why);
  queue_.clear();
}

}  // namespace cloister
