#include "sandbox/worker/query_channel.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "sandbox/worker/python.h"

namespace cloister {
namespace {

constexpr std::chrono::milliseconds kSignalCheckInterval{50};
constexpr std::size_t kBufferSize = kQueryPacketMax + 1;
constexpr int kExitNodeGone = 0;
constexpr int kExitProtocol = 3;

}  // namespace

QueryChannel::Outcome QueryChannel::Call(std::string_view statement, std::string& reply) {
  while (pending_.size() >= kQueriesMax) {
    if (!WaitForPackets())
      return Outcome::kInterrupted;
  }
  const auto pending = pending_.emplace(pending_.end());
  pending->id = ++last_id_;
  pending->epoch = epoch();
  Send(*pending, statement);
  while (!pending->answered && !pending->lost) {
    if (!WaitForPackets()) {
      pending->forgotten = true;
      if (pending->answered || pending->lost)
        pending_.erase(pending);
      return Outcome::kInterrupted;
    }
  }
  reply = std::move(pending->reply);
  const Outcome outcome = pending->lost ? Outcome::kLost : Outcome::kAnswered;
  pending_.erase(pending);
  return outcome;
}

void QueryChannel::Send(const Pending& pending, std::string_view statement) {
  const WithoutGil without_gil;
  const std::scoped_lock lock(write_mutex_);
  do {
    const std::string_view piece = statement.substr(0, kQueryPieceMax);
    statement.remove_prefix(piece.size());
    const std::string packet =
        EncodeQueryPacket({.type = QueryPacketType::kStatement,
                           .flags = statement.empty() ? std::uint8_t{0} : kQueryMore,
                           .epoch = pending.epoch,
                           .id = pending.id,
                           .piece = piece});
    ssize_t sent = -1;
    do {
      // What was for a process that is gone need not be sent.
      if (epoch() != pending.epoch)
        return;
      sent = ::write(fd_, packet.data(), packet.size());
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
      ::_exit(kExitNodeGone);
  } while (!statement.empty());
}

bool QueryChannel::WaitForPackets() {
  if (reading_)
    return WaitForReader();
  if (buffer_ == nullptr)
    buffer_ = std::make_unique_for_overwrite<char[]>(kBufferSize);
  reading_ = true;
  ssize_t size = 0;
  int error = 0;
  {
    const WithoutGil without_gil;
    // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): no lock is held here
    size = ::read(fd_, buffer_.get(), kBufferSize);
    error = errno;
  }
  reading_ = false;
  if (size == 0 || (size < 0 && error != EINTR))
    ::_exit(kExitNodeGone);
  if (size > 0)
    Dispatch({buffer_.get(), static_cast<std::size_t>(size)});
  {
    // Also after a signal: another thread is to read now.
    const std::scoped_lock lock(reader_mutex_);
    ++dispatches_;
  }
  dispatched_.notify_all();
  return PyErr_CheckSignals() == 0;
}

bool QueryChannel::WaitForReader() {
  const std::uint64_t seen = dispatches_;
  {
    const WithoutGil without_gil;
    std::unique_lock lock(reader_mutex_);
    // Not for ever: the main thread must come up to run the handlers of signals.
    dispatched_.wait_for(lock, kSignalCheckInterval, [&] { return dispatches_ != seen; });
  }
  return PyErr_CheckSignals() == 0;
}

void QueryChannel::Dispatch(std::string_view bytes) {
  const Result<QueryPacket> packet = ParseQueryPacket(bytes);
  if (!packet.ok() || bytes.size() > kQueryPacketMax)
    ::_exit(kExitProtocol);
  switch (packet.value().type) {
    case QueryPacketType::kReply:
      return TakeReply(packet.value());
    case QueryPacketType::kReset:
      return Reset(packet.value());
    case QueryPacketType::kStatement:
      ::_exit(kExitProtocol);
  }
}

void QueryChannel::TakeReply(const QueryPacket& packet) {
  if (packet.epoch != epoch())
    return;
  const auto found = std::ranges::find(pending_, packet.id, &Pending::id);
  if (found == pending_.end() || found->answered)
    return;
  if (found->reply.size() + packet.piece.size() > kQueryReplyMax)
    ::_exit(kExitProtocol);
  if (!found->forgotten)
    found->reply += packet.piece;
  found->answered = (packet.flags & kQueryMore) == 0;
  if (found->answered && found->forgotten)
    pending_.erase(found);
}

void QueryChannel::Reset(const QueryPacket& packet) {
  epoch_.store(packet.epoch, std::memory_order_relaxed);
  for (auto each = pending_.begin(); each != pending_.end();) {
    if (each->forgotten) {
      each = pending_.erase(each);
      continue;
    }
    if (!each->answered) {
      each->lost = true;
      each->reply = packet.piece;
    }
    ++each;
  }
}

}  // namespace cloister
