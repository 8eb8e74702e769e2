#include "daemon/workers/keeper_link.h"

namespace cloister {
namespace {

// The descriptor that may come with a message.
UniqueFd TakeFd(Packet& packet) {
  return packet.fds.empty() ? UniqueFd() : std::move(packet.fds.front());
}

}  // namespace

Result<NodeOrders> ReceiveNodeStart(int control_fd) {
  Received received = TRY(ReceivePacket(control_fd));
  if (received.state != ReceiveState::kPacket)
    return Error{ErrorCode::kUnavailable, "the keeper closed the control socket"};
  NodeOrders orders;
  orders.start = TRY(DecodeMessage<NodeStart>(received.packet.bytes));
  orders.fds = std::move(received.packet.fds);
  return orders;
}

KeeperLink::KeeperLink(Loop& loop, UniqueFd socket, KeeperListener& node)
    : socket_(std::move(socket)),
      node_(node),
      watch_(
          std::make_unique<FdWatch>(loop, socket_.get(), static_cast<FdWatch::Handler&>(*this))) {
  watch_->Watch(true, false);
}

void KeeperLink::Place(const PlaceWorker& order) {
  Send(order);
}

void KeeperLink::Kill(WorkerId worker) {
  Send(KillWorker{.worker_id = worker.number});
}

void KeeperLink::Interrupt(WorkerId worker) {
  Send(InterruptWorker{.worker_id = worker.number});
}

void KeeperLink::WantZygote() {
  Send(ZygoteWanted{});
}

void KeeperLink::SendBytes(std::string bytes) {
  unsent_.push_back(std::move(bytes));
  SendWaiting();
}

void KeeperLink::SendWaiting() {
  while (!unsent_.empty() && !lost_) {
    const Result<void> sent = SendPacket(socket_.get(), unsent_.front());
    // Full and gone look the same here; a keeper that is gone shows as readable.
    if (!sent.ok() && sent.error().code == ErrorCode::kUnavailable)
      break;
    if (!sent.ok())
      return Lose(sent.error());
    unsent_.pop_front();
  }
  watch_->Watch(!lost_, !lost_ && !unsent_.empty());
}

void KeeperLink::OnReadable() {
  while (!lost_) {
    Result<Received> received = ReceivePacket(socket_.get());
    if (!received.ok())
      return Lose(received.error());
    if (received.value().state == ReceiveState::kWouldBlock)
      return;
    if (received.value().state == ReceiveState::kClosed)
      return Lose({ErrorCode::kUnavailable, "the keeper closed the control socket"});
    const Result<void> taken = Take(std::move(received.value().packet));
    if (!taken.ok())
      return Lose(taken.error());
  }
}

void KeeperLink::Lose(const Error& why) {
  lost_ = true;
  watch_->Watch(false, false);
  node_.OnKeeperLost(why);
}

Result<void> KeeperLink::Take(Packet packet) {
  switch (TypeOf(packet.bytes)) {
    case MessageType::kZygoteSocket:
      if (packet.fds.size() != 1)
        return Error{ErrorCode::kProtocol, "ZygoteSocket without its descriptor"};
      node_.OnZygoteSocket(std::move(packet.fds.front()));
      return {};
    case MessageType::kBecomeWriter:
      node_.OnBecomeWriter(TakeFd(packet));
      return {};
    case MessageType::kDrain:
      node_.OnDrain(TakeFd(packet));
      return {};
    case MessageType::kNodeAlone:
      node_.OnAlone();
      return {};
    case MessageType::kStop:
      node_.OnStop(Millis(TRY(DecodeMessage<Stop>(packet.bytes)).grace_ms));
      return {};
    case MessageType::kWorkerPlaced:
    case MessageType::kWorkerExited:
      return TakeForWorkers(packet);
    default:
      return Error{ErrorCode::kProtocol,
                   std::string("unexpected from the keeper: ") + MessageName(TypeOf(packet.bytes))};
  }
}

Result<void> KeeperLink::TakeForWorkers(const Packet& packet) {
  if (TypeOf(packet.bytes) == MessageType::kWorkerPlaced) {
    const WorkerPlaced placed = TRY(DecodeMessage<WorkerPlaced>(packet.bytes));
    if (workers_ != nullptr)
      workers_->OnWorkerPlaced(WorkerId{placed.worker_id}, placed.error);
    return {};
  }
  const WorkerExited exited = TRY(DecodeMessage<WorkerExited>(packet.bytes));
  if (workers_ != nullptr)
    workers_->OnWorkerExited(WorkerId{exited.worker_id}, exited.status, Micros(exited.cpu_us));
  return {};
}

}  // namespace cloister
