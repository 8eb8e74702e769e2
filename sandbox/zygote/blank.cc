#include "sandbox/zygote/blank.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "apis/base/check.h"
#include "apis/base/result.h"
#include "apis/wire/channel.h"
#include "apis/wire/codec.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/frame.h"
#include "apis/wire/messages.h"
#include "sandbox/steps/parent_death.h"
#include "sandbox/worker/worker.h"
#include "sandbox/zygote/hand_over.h"
#include "sandbox/zygote/query_start.h"
#include "sandbox/zygote/title.h"

namespace cloister {
namespace {

constexpr int kOrderly = 0;
constexpr int kFailed = 1;

// The blank cannot become a worker: says so to the node, if it listens, and ends.
[[noreturn]] void Refuse(int control_fd, const std::string& step, const Error& error) {
  (void)SendPacket(control_fd, EncodeMessage(BlankRefused{.step = step, .error = error.message}));
  ::_exit(kFailed);
}

// The last walls failed half-way: the control socket is closed already, but the channel is open.
[[noreturn]] void FailBoot(const Error& error) {
  std::string bytes;
  const std::size_t begin = BeginFrame(bytes, FrameType::kBootFailed, 0, 0);
  WireWriter writer(bytes);
  BootReport{
      .code = "sandbox_failed", .message = error.message, .file = {}, .line = 0, .traceback = {}}
      .Encode(writer);
  FinishFrame(bytes, begin);
  (void)!::write(kChannelFd, bytes.data(), bytes.size());
  ::_exit(kFailed);
}

// The zygote's descriptors are not for its children: all but these three and the standard ones go.
void CloseAllBut(std::array<int, 3> kept) {
  std::sort(kept.begin(), kept.end());
  auto from = static_cast<unsigned>(STDERR_FILENO) + 1;
  for (const int fd : kept) {
    // 3 and 4 are the channels' places.
    CHECK(fd > kQueryFd);
    const auto number = static_cast<unsigned>(fd);
    if (number > from)
      CHECK(::close_range(from, number - 1, 0) == 0);
    from = number + 1;
  }
  CHECK(::close_range(from, ~0U, 0) == 0);
}

// Waits until the zygote wrote the id maps. The zygote's end, or its failing, ends the blank.
void AwaitGo(UniqueFd go) {
  char byte = 0;
  ssize_t size = -1;
  do {
    size = ::read(go.get(), &byte, 1);
  } while (size < 0 && errno == EINTR);
  if (size != 1)
    ::_exit(kOrderly);
}

bool HasPacket(int control_fd) {
  pollfd polled = {.fd = control_fd, .events = POLLIN, .revents = 0};
  return ::poll(&polled, 1, 0) > 0;
}

Packet AwaitHandOver(int control_fd) {
  Result<Received> received = ReceivePacket(control_fd);
  if (!received.ok())
    Refuse(control_fd, "hand_over", received.error());
  if (received.value().state == ReceiveState::kClosed)
    ::_exit(kOrderly);
  return std::move(received.value().packet);
}

}  // namespace

void RunBlank(BlankPlan plan) {
  const int control = plan.control.get();
  CloseAllBut({control, plan.go.get(), plan.keeper_pidfd});
  // Until its credentials change, and EnterBlank does it anew: one that is stopped while it waits
  // must not outlive the keeper.
  if (!ArmParentDeath(plan.keeper_pidfd).ok())
    ::_exit(kOrderly);
  AwaitGo(std::move(plan.go));
  const Result<void> entered =
      EnterBlank({.keeper_pidfd = plan.keeper_pidfd, .identity = plan.identity});
  if (!entered.ok())
    Refuse(control, "enter_blank", entered.error());
  SetTitle("cloister-worker: blank");
  // An order that is here already is not kept waiting.
  if (!HasPacket(control))
    RehearseBoot();
  Packet orders = AwaitHandOver(control);
  if (IsForQuery(orders)) {
    QueryStart start{.worker_id = plan.worker_id,
                     .program = plan.query_program,
                     .landlock_abi = plan.landlock_abi,
                     .control_fd = control};
    const Error error = BecomeQuery(orders, start);
    Refuse(start.control_fd, "query_program", error);
  }
  Result<TakenOver> taken = TakeOver(std::move(orders), plan.worker_id);
  if (!taken.ok())
    Refuse(control, "hand_over", taken.error());
  TakenOver& worker = taken.value();
  SetTitle("cloister-worker: " + worker.context.app + " " + worker.context.version);
  const Result<void> placed = PlaceChannels(std::move(worker.channel), std::move(worker.query));
  if (!placed.ok())
    Refuse(control, "channels", placed.error());
  // From here on the descriptor is CloseWalls' to close.
  (void)plan.control.Release();
  const Result<void> closed = CloseWalls(
      {.limits = worker.limits, .policy = *plan.policy, .landlock_abi = plan.landlock_abi});
  if (!closed.ok())
    FailBoot(closed.error());
  RunWorker(std::move(worker.context));
}

}  // namespace cloister
