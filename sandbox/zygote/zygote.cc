#include "sandbox/zygote/zygote.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "sandbox/worker/worker.h"
#include "sandbox/zygote/blank.h"
#include "sandbox/zygote/clone.h"

namespace cloister {
namespace {

Result<std::pair<UniqueFd, UniqueFd>> MakePipe() {
  std::array<int, 2> ends = {-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return SystemError("pipe2");
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

}  // namespace

Result<void> Zygote::Serve() {
  while (!keeper_gone_) {
    Wait();
    if (keeper_readable_)
      TRY(ReceiveFromKeeper());
    for (Node& node : nodes_) {
      ReceiveFromNode(node);
      // One each in a turn: no node waits for another's whole order.
      if (!node.gone && node.wanted > 0 && node.writable && CanAnswer())
        MakeOneBlank(node);
    }
    nodes_.remove_if([](const Node& node) { return node.gone; });
  }
  return {};
}

void Zygote::Wait() {
  std::vector<pollfd> watched = {{.fd = keeper_.get(), .events = POLLIN, .revents = 0}};
  for (const Node& node : nodes_) {
    const int events = POLLIN | (node.wanted > 0 && CanAnswer() ? POLLOUT : 0);
    watched.push_back(
        {.fd = node.socket.get(), .events = static_cast<short>(events), .revents = 0});
  }
  (void)::poll(watched.data(), watched.size(), -1);
  keeper_readable_ = watched.front().revents != 0;
  std::size_t index = 1;
  for (Node& node : nodes_)
    node.writable = (watched[index++].revents & POLLOUT) != 0;
}

Result<void> Zygote::ReceiveFromKeeper() {
  Received received = TRY(ReceivePacket(keeper_.get()));
  if (received.state == ReceiveState::kClosed) {
    keeper_gone_ = true;
    return {};
  }
  if (TypeOf(received.packet.bytes) == MessageType::kWorkerUid) {
    const std::uint32_t uid = TRY(DecodeMessage<WorkerUid>(received.packet.bytes)).uid;
    no_uid_is_free_ = uid == 0;
    if (uid != 0)
      uids_.push_back(uid);
    return {};
  }
  const NodeSocket message = TRY(DecodeMessage<NodeSocket>(received.packet.bytes));
  return AddNode(message.generation, std::move(received.packet.fds));
}

Result<void> Zygote::AddNode(std::uint64_t generation, std::vector<UniqueFd> fds) {
  if (fds.size() != 1)
    return Error{ErrorCode::kProtocol, "NodeSocket without its descriptor"};
  UniqueFd& socket = fds.front();
  if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0)
    return SystemError("fcntl");
  nodes_.push_back({.generation = generation, .socket = std::move(socket)});
  return {};
}

void Zygote::ReceiveFromNode(Node& node) {
  for (;;) {
    const Result<Received> received = ReceivePacket(node.socket.get());
    if (!received.ok() || received.value().state == ReceiveState::kClosed) {
      node.gone = true;
      return;
    }
    if (received.value().state == ReceiveState::kWouldBlock)
      return;
    const Result<BlankWanted> wanted = DecodeMessage<BlankWanted>(received.value().packet.bytes);
    if (!wanted.ok()) {
      Log(LogLevel::kError, "node_refused",
          {{"generation", node.generation}, {"error", wanted.error().message}});
      node.gone = true;
      return;
    }
    node.wanted += std::min(wanted.value().count, kWantedMax - node.wanted);
  }
}

void Zygote::MakeOneBlank(Node& node) {
  --node.wanted;
  BlankReady ready;
  Result<UniqueFd> control = CloneBlank(node, ready);
  if (control.ok())
    return SendToNode(node, EncodeMessage(ready), control.value().get());
  // The rest of the order would fail the same way; the node decides when to try again.
  node.wanted = 0;
  SendToNode(node, EncodeMessage(BlankFailed{.error = control.error().message}), -1);
}

Result<UniqueFd> Zygote::CloneBlank(const Node& node, BlankReady& ready) {
  auto [node_end, blank_end] = TRY(MakeControlPair());
  auto [go_read, go_write] = TRY(MakePipe());
  const std::uint32_t uid = TRY(TakeUid());
  const std::uint64_t worker_id = (std::uint64_t{start_.number} << 32) | ++made_;
  const unsigned threads = TRY(CountThreads());
  CHECK(threads == 1);
  BeforeFork();
  const Result<pid_t> pid = CloneForParent();
  if (pid.ok() && pid.value() == 0) {
    AfterForkChild();
    RunBlank({.control = std::move(blank_end),
              .go = std::move(go_read),
              .keeper_pidfd = keeper_pidfd_,
              .identity = uid == 0 ? WorkerIdentity::kSharedUid : WorkerIdentity::kOwnUid,
              .worker_id = worker_id,
              .policy = &policy_,
              .landlock_abi = static_cast<int>(start_.landlock),
              .query_program = query_program_.c_str()});
  }
  AfterForkParent();
  if (!pid.ok()) {
    // Nobody has it, and the keeper counts it as ours to give.
    if (uid != 0)
      uids_.push_front(uid);
    return Error{pid.error()};
  }
  ready = {.worker_id = worker_id, .pid = static_cast<std::uint32_t>(pid.value())};
  TRY(SettleBlank(
      {.worker_id = worker_id, .generation = node.generation, .pid = ready.pid, .uid = uid},
      go_write.get()));
  return std::move(node_end);
}

Result<std::uint32_t> Zygote::TakeUid() {
  if (start_.own_uids == 0)
    return 0U;
  if (uids_.empty())
    return Error{ErrorCode::kUnavailable,
                 "every user id for workers is in use (settings, node.uid_count)"};
  const std::uint32_t uid = uids_.front();
  uids_.pop_front();
  return uid;
}

// The keeper hears of the child first: the node may name it to the keeper as soon as it knows it.
Result<void> Zygote::SettleBlank(const Cloned& blank, int go) {
  TRY(SendPacket(keeper_.get(), EncodeMessage(blank)));
  TRY(WriteIdMaps(static_cast<pid_t>(blank.pid),
                  blank.uid == 0 ? WorkerIdentity::kSharedUid : WorkerIdentity::kOwnUid,
                  blank.uid));
  if (::write(go, "g", 1) != 1)
    return SystemError("the blank is gone");
  return {};
}

void Zygote::SendToNode(Node& node, const std::string& packet, int fd) {
  const Result<void> sent =
      SendPacket(node.socket.get(), packet, fd < 0 ? std::vector<int>{} : std::vector<int>{fd});
  if (!sent.ok())
    node.gone = true;
}

}  // namespace cloister
