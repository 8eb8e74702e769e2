#include "daemon/node/handover.h"

#include <iterator>
#include <utility>

#include "apis/base/log.h"
#include "apis/wire/messages.h"

namespace cloister {
namespace {

// Received in one turn of the loop: others have their turn between them.
constexpr int kPerTurn = 64;
// The kernel may refuse a packet for a want that no event ends: of memory, or of descriptors that
// are under way.
constexpr Millis kRetryAfter{5};

}  // namespace

HandoverSender::HandoverSender(Loop& loop, UniqueFd socket)
    : socket_(std::move(socket)),
      watch_(loop, socket_.get(), static_cast<FdWatch::Handler&>(*this)),
      retry_(loop) {}

void HandoverSender::Send(PassedConnection passed) {
  waiting_.push_back(std::move(passed));
  if (waiting_.size() == 1)
    SendWaiting();
}

void HandoverSender::SendWaiting() {
  Result<void> sent;
  while (sent.ok() && !waiting_.empty()) {
    const PassedConnection& next = waiting_.front();
    const ClientConnection message = {.server = static_cast<std::uint32_t>(next.server),
                                      .read_ahead = next.connection.read_ahead};
    sent = SendPacket(socket_.get(), EncodeMessage(message), {next.connection.fd.get()});
    if (sent.ok())
      waiting_.pop_front();
  }
  const bool full = !sent.ok() && sent.error().code == ErrorCode::kUnavailable;
  watch_.Watch(false, full);
  if (!sent.ok() && !full)
    retry_.Start(kRetryAfter, [this] { SendWaiting(); });
  if (waiting_.empty() && on_idle_)
    on_idle_();
}

std::vector<PassedConnection> HandoverSender::TakeBack() {
  std::vector<PassedConnection> taken(std::make_move_iterator(waiting_.begin()),
                                      std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  watch_.Watch(false, false);
  retry_.Stop();
  return taken;
}

HandoverReceiver::HandoverReceiver(Loop& loop, UniqueFd socket, OnConnection on_connection)
    : socket_(std::move(socket)),
      on_connection_(std::move(on_connection)),
      watch_(loop, socket_.get(), static_cast<FdWatch::Handler&>(*this)) {
  watch_.Watch(true, false);
}

void HandoverReceiver::OnReadable() {
  for (int i = 0; i < kPerTurn; ++i) {
    Result<Received> received = ReceivePacket(socket_.get());
    if (received.ok() && received.value().state == ReceiveState::kWouldBlock)
      return;
    if (received.ok() && received.value().state == ReceiveState::kClosed)
      return watch_.Watch(false, false);  // the keeper is gone, and so are we
    const Result<void> taken =
        received.ok() ? Take(std::move(received.value().packet)) : received.error();
    if (!taken.ok())
      Log(LogLevel::kError, "connection_not_adopted", {{"error", taken.error().message}});
  }
}

Result<void> HandoverReceiver::Take(Packet packet) {
  ClientConnection message = TRY(DecodeMessage<ClientConnection>(packet.bytes));
  if (packet.fds.size() != 1)
    return Error{ErrorCode::kProtocol, "ClientConnection without its descriptor"};
  if (message.server < static_cast<std::uint32_t>(NodeServer::kFront) ||
      message.server > static_cast<std::uint32_t>(NodeServer::kHealth))
    return Error{ErrorCode::kProtocol, "a connection of no known server"};
  on_connection_({.server = NodeServer{message.server},
                  .connection = {.fd = std::move(packet.fds.front()),
                                 .read_ahead = std::move(message.read_ahead)}});
  return {};
}

}  // namespace cloister
