#include "sandbox/query/server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "apis/wire/codec.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/hang_up.h"

namespace cloister {
namespace {

constexpr std::chrono::milliseconds kReportPeriod{250};
constexpr std::chrono::milliseconds kOpenLook{1000};
// Of all workers together: statements that are not whole (what is beyond is refused), and answers
// that they have not taken (then nothing more is read of any of them).
constexpr std::size_t kPartialMax = std::size_t{40} << 20;
constexpr std::size_t kOutMax = std::size_t{16} << 20;
constexpr std::size_t kPacketsPerTurn = 64;

SteadyTime Now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

void QueryServer::SetOrders(const QueryOrders& orders) {
  const auto millis = [](std::uint64_t count) { return Millis(static_cast<std::int64_t>(count)); };
  engine_.SetQuota({.bytes_max = Bytes{orders.bytes_max},
                    .statement_max = millis(orders.statement_ms),
                    .result_max = Bytes{orders.result_max},
                    .statements_rate = orders.statements_rate,
                    .transactions_max = orders.transactions_max,
                    .transaction_max = millis(orders.transaction_ms)});
  idle_max_ = millis(orders.idle_ms);
}

Result<void> QueryServer::Serve() {
  // So that the node knows how large the database is.
  to_report_ = true;
  while (!node_gone_) {
    Wait();
    if (orders_readable_)
      TRY(ReceiveOrders());
    for (Link& link : links_) {
      if (link.writable)
        Flush(link);
      if (link.readable && !link.gone && link.out.empty())
        Receive(link);
    }
    const SteadyTime now = Now();
    TRY(engine_.Turn(engine_polled_, now, *this));
    to_report_ = engine_.TakeNews() || to_report_;
    links_.remove_if([](const Link& link) { return link.gone; });
    Report(now);
    if (IsIdle(now))
      return {};
  }
  return {};
}

int QueryServer::WaitMillis(SteadyTime now) const {
  const SteadyTime idle_at = last_asked_ + idle_max_;
  // Past that, something is open that is looked at now and then.
  SteadyTime next = std::min(engine_.next_turn(now), idle_at > now ? idle_at : now + kOpenLook);
  if (to_report_)
    next = std::min(next, report_at_);
  if (next <= now)
    return 1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now);
  return static_cast<int>(std::min<std::int64_t>(left.count(), 60000));
}

void QueryServer::Wait() {
  std::vector<pollfd> watched = {{.fd = control_fd_, .events = POLLIN, .revents = 0}};
  for (const Link& link : links_) {
    const int reads = out_bytes_ <= kOutMax ? POLLIN : 0;
    const int events = link.out.empty() ? reads : POLLOUT;
    watched.push_back({.fd = link.fd.get(), .events = static_cast<short>(events), .revents = 0});
  }
  const std::size_t own = watched.size();
  engine_.Watch(watched);
  if (::poll(watched.data(), watched.size(), WaitMillis(Now())) < 0)
    for (pollfd& each : watched)
      each.revents = 0;
  orders_readable_ = watched.front().revents != 0;
  std::size_t index = 1;
  for (Link& link : links_) {
    const int events = watched[index++].revents;
    link.writable = (events & (POLLOUT | POLLERR | POLLHUP)) != 0 && !link.out.empty();
    link.readable = (events & (POLLIN | POLLERR | POLLHUP)) != 0;
  }
  engine_polled_.assign(watched.begin() + static_cast<std::ptrdiff_t>(own), watched.end());
}

Result<void> QueryServer::ReceiveOrders() {
  Received received = TRY(ReceivePacket(control_fd_));
  if (received.state != ReceiveState::kPacket) {
    node_gone_ = received.state == ReceiveState::kClosed;
    return {};
  }
  std::vector<UniqueFd>& fds = received.packet.fds;
  if (TypeOf(received.packet.bytes) == MessageType::kQueryOrders && fds.empty()) {
    SetOrders(TRY(DecodeMessage<QueryOrders>(received.packet.bytes)));
    return {};
  }
  const QueryAttach attach = TRY(DecodeMessage<QueryAttach>(received.packet.bytes));
  if (fds.size() != 1)
    return Error{ErrorCode::kProtocol, "a worker without its socket"};
  Attach(attach, std::move(fds.front()));
  return {};
}

void QueryServer::Attach(const QueryAttach& attach, UniqueFd fd) {
  Link& link = links_.emplace_back();
  link.fd = std::move(fd);
  link.number = attach.link;
  link.epoch = attach.epoch;
  last_asked_ = Now();
}

void QueryServer::Drop(Link& link) {
  link.gone = true;
  for (const auto& [id, partial] : link.partial)
    partial_bytes_ -= partial.size;
  for (const std::string& packet : link.out)
    out_bytes_ -= packet.size();
  link.partial.clear();
  link.out.clear();
  engine_.Forget(link.number);
}

void QueryServer::Break(Link& link) {
  if (link.gone)
    return;
  Drop(link);
  std::string number;
  WireWriter(number).U64(link.number);
  SendFrame(FrameType::kQueryBroken, number);
}

void QueryServer::SendFrame(FrameType type, std::string_view payload) const {
  std::string frame;
  AppendFrame(frame, {.type = type, .flags = 0, .id = 0, .payload = payload});
  (void)!::write(channel_fd_, frame.data(), frame.size());
}

void QueryServer::Receive(Link& link) {
  // Up to the first whole statement, so that every worker has its turn.
  for (std::size_t i = 0; i < kPacketsPerTurn; ++i) {
    const ssize_t size = ::recv(link.fd.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    const std::string_view bytes(buffer_.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    // Nothing is what comes at the end, and what a packet of no bytes looks like.
    if (size < 0 || (size == 0 && HasHungUp(link.fd.get())))
      return Drop(link);
    if (bytes.size() > kQueryPacketMax || !Take(link, bytes))
      return Break(link);
    if (link.gone || link.partial.empty())
      return;
  }
}

bool QueryServer::Take(Link& link, std::string_view bytes) {
  const Result<QueryPacket> parsed = ParseQueryPacket(bytes);
  if (!parsed.ok() || parsed.value().type != QueryPacketType::kStatement)
    return false;
  const QueryPacket& packet = parsed.value();
  if (packet.epoch != link.epoch)
    return true;  // meant for the process before this one
  last_asked_ = Now();
  const auto found = link.partial.find(packet.id);
  const bool more = (packet.flags & kQueryMore) != 0;
  if (found == link.partial.end() && !more) {
    Execute(link, packet.id, std::string(packet.piece));
    return true;
  }
  if (found == link.partial.end() && link.partial.size() >= kQueriesMax)
    return false;
  return TakePiece(link, packet);
}

bool QueryServer::TakePiece(Link& link, const QueryPacket& packet) {
  Partial& partial = link.partial[packet.id];
  if (partial.size + packet.piece.size() > kQueryStatementMax)
    return false;
  if (partial.head.empty())
    partial.head = packet.piece.substr(0, QueryStatement::kHeadSize);
  if (!partial.refused && partial_bytes_ + packet.piece.size() > kPartialMax) {
    partial_bytes_ -= partial.size;
    partial = {.pieces = {}, .size = 0, .head = std::move(partial.head), .refused = true};
  }
  if (!partial.refused) {
    partial.pieces.emplace_back(packet.piece);
    partial.size += packet.piece.size();
    partial_bytes_ += packet.piece.size();
  }
  if ((packet.flags & kQueryMore) != 0)
    return true;
  const Partial last = std::move(partial);
  link.partial.erase(packet.id);
  partial_bytes_ -= last.size;
  if (last.refused) {
    Reply(link, packet.id, NoRoom(link, last.head));
    return true;
  }
  std::string whole;
  whole.reserve(last.size);
  for (const std::string& piece : last.pieces)
    whole += piece;
  Execute(link, packet.id, std::move(whole));
  return true;
}

// The answer to a statement that is too large for now, of which only the head was kept.
std::string QueryServer::NoRoom(const Link& link, std::string_view head) const {
  WireReader in(head);
  const std::uint64_t session = in.U64();
  (void)in.U8();
  const std::uint8_t flags = in.U8();
  return EncodeQueryFailure(
      {.in_transaction = engine_.HasTransaction(link.number, session), .flags = flags},
      QueryErrorClass::kOperational, "database_memory",
      "so many large statements are under way that the database's process has no memory for this "
      "one: run it again");
}

void QueryServer::Execute(Link& link, std::uint32_t id, std::string statement) {
  to_report_ = true;
  if (!engine_.Execute({.link = link.number,
                        .id = id,
                        .statement = std::move(statement),
                        .socket = link.fd.get()},
                       *this))
    Break(link);
  last_asked_ = Now();
}

void QueryServer::Answer(std::uint64_t link, std::uint32_t id, std::string_view reply) {
  last_asked_ = Now();
  to_report_ = true;
  const auto found = std::ranges::find(links_, link, &Link::number);
  if (found != links_.end() && !found->gone)
    Reply(*found, id, reply);
}

void QueryServer::Reply(Link& link, std::uint32_t id, std::string_view reply) {
  do {
    const std::string_view piece = reply.substr(0, kQueryPieceMax);
    reply.remove_prefix(piece.size());
    link.out.push_back(EncodeQueryPacket({.type = QueryPacketType::kReply,
                                          .flags = reply.empty() ? std::uint8_t{0} : kQueryMore,
                                          .epoch = link.epoch,
                                          .id = id,
                                          .piece = piece}));
    out_bytes_ += link.out.back().size();
  } while (!reply.empty());
  Flush(link);
}

void QueryServer::Flush(Link& link) {
  while (!link.out.empty()) {
    const std::string& packet = link.out.front();
    const ssize_t sent =
        ::send(link.fd.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (sent < 0)
      return Drop(link);
    out_bytes_ -= packet.size();
    link.out.pop_front();
  }
}

void QueryServer::Report(SteadyTime now) {
  if (!to_report_ || now < report_at_)
    return;
  to_report_ = false;
  report_at_ = now + kReportPeriod;
  SendFrame(FrameType::kQueryUse, engine_.TakeUse(now).Encode());
}

bool QueryServer::IsIdle(SteadyTime now) const {
  const auto has_work = [](const Link& link) { return !link.partial.empty() || !link.out.empty(); };
  return now - last_asked_ >= idle_max_ && !engine_.is_busy() && !to_report_ &&
         std::ranges::none_of(links_, has_work);
}

}  // namespace cloister
