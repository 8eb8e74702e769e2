#include "daemon/workers/database_session.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "apis/base/check.h"
#include "apis/wire/codec.h"
#include "daemon/workers/query_processes.h"

namespace cloister {
namespace {

// A session of a link; it has no other.
constexpr std::uint64_t kSession = 1;
// So that the loop comes to other things.
constexpr int kPacketsPerTurn = 16;

std::string Encode(std::string_view sql, std::uint8_t flags, std::int64_t last_row_id) {
  std::string statement;
  WireWriter out(statement);
  out.U64(kSession);
  out.U8(static_cast<std::uint8_t>(QueryBegin::kNone));
  out.U8(flags);
  out.U8(0);  // once
  out.U64(static_cast<std::uint64_t>(last_row_id));
  out.Str32(sql);
  out.U8(0);   // without names
  out.U32(1);  // one set of parameters
  out.U32(0);  // which is empty
  return statement;
}

}  // namespace

Result<std::unique_ptr<DatabaseSession>> DatabaseSession::Open(Loop& loop, QueryProcesses& queries,
                                                               const ReleaseSpec& spec,
                                                               SessionAccess access,
                                                               Listener& listener) {
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
    return SystemError("making a socket pair");
  UniqueFd far_end(ends[1]);
  std::unique_ptr<DatabaseSession> session(
      new DatabaseSession(loop, UniqueFd(ends[0]), access, listener));
  session->link_ =
      queries.MakeLink(spec, std::move(far_end), static_cast<QueryLink::Listener&>(*session));
  return session;
}

DatabaseSession::DatabaseSession(Loop& loop, UniqueFd near_end, SessionAccess access,
                                 Listener& listener)
    : loop_(loop),
      near_end_(std::move(near_end)),
      listener_(listener),
      watch_(loop, near_end_.get(), static_cast<FdWatch::Handler&>(*this)),
      own_flags_(access == SessionAccess::kRead ? kQueryReadOnly : std::uint8_t{0}) {
  Watch();
}

DatabaseSession::~DatabaseSession() = default;

void DatabaseSession::Watch() {
  watch_.Watch(!paused_, !out_.empty());
}

Result<void> DatabaseSession::Ask(std::string_view sql) {
  CHECK(!busy_ && sql.size() <= kSqlMax);
  if (link_ == nullptr)
    return Error{ErrorCode::kUnavailable, "the app's database is gone"};
  if (!lost_.empty())
    return Error{ErrorCode::kUnavailable, std::exchange(lost_, {})};
  busy_ = true;
  answered_ = 0;
  ++id_;
  const std::string statement = Encode(sql, own_flags_ | flags_, last_row_id_);
  std::string_view rest = statement;
  do {
    const std::string_view piece = rest.substr(0, kQueryPieceMax);
    rest.remove_prefix(piece.size());
    out_.push_back(EncodeQueryPacket({.type = QueryPacketType::kStatement,
                                      .flags = rest.empty() ? std::uint8_t{0} : kQueryMore,
                                      .epoch = epoch_,
                                      .id = id_,
                                      .piece = piece}));
  } while (!rest.empty());
  OnWritable();
  return {};
}

void DatabaseSession::Resume() {
  paused_ = false;
  Watch();
}

void DatabaseSession::OnWritable() {
  while (!out_.empty()) {
    const std::string& packet = out_.front();
    const ssize_t sent =
        ::send(near_end_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
      break;
    out_.pop_front();
  }
  Watch();
}

void DatabaseSession::OnReadable() {
  if (paused_)
    return Watch();
  for (int i = 0; i < kPacketsPerTurn && !paused_; ++i) {
    const ssize_t size = ::recv(near_end_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (size <= 0)
      return Close("its socket is broken");
    // It may destroy this.
    if (!Take(std::string_view(buffer_.data(), static_cast<std::size_t>(size))))
      return;
  }
}

bool DatabaseSession::Take(std::string_view bytes) {
  const Result<QueryPacket> parsed = ParseQueryPacket(bytes);
  if (bytes.size() <= kQueryPacketMax && parsed.ok()) {
    if (parsed.value().type == QueryPacketType::kReply)
      return TakeReply(parsed.value());
    if (parsed.value().type == QueryPacketType::kReset)
      return TakeReset(parsed.value());
  }
  Close("its process said what none says");
  return false;
}

bool DatabaseSession::TakeReply(const QueryPacket& packet) {
  // Of a process that is gone.
  if (packet.epoch != epoch_)
    return true;
  const bool last = (packet.flags & kQueryMore) == 0;
  const bool is_head = answered_ == 0;
  answered_ += packet.piece.size();
  const bool sound = busy_ && packet.id == id_ && !packet.piece.empty() &&
                     answered_ <= kQueryReplyMax && (!is_head || packet.piece.size() >= 3);
  if (!sound) {
    Close("its process said what none says");
    return false;
  }
  if (is_head)
    ReadHead(packet.piece);
  busy_ = !last;
  paused_ = true;
  if (!listener_.OnPiece(packet.piece, last))
    return false;
  paused_ = false;
  return true;
}

// What belongs to the session, of a reply's first piece.
void DatabaseSession::ReadHead(std::string_view piece) {
  WireReader in(piece);
  const std::uint8_t status = in.U8();
  in_transaction_ = in.U8() != 0;
  flags_ = in.U8() & (kQueryForeignKeys | kQueryLegacyAlterTable);
  if (status != static_cast<std::uint8_t>(QueryStatus::kDone))
    return;
  (void)in.U64();  // changed rows
  const bool inserted = in.U8() != 0;
  const auto row_id = static_cast<std::int64_t>(in.U64());
  if (in.ok() && inserted)
    last_row_id_ = row_id;
}

bool DatabaseSession::TakeReset(const QueryPacket& packet) {
  epoch_ = packet.epoch;
  out_.clear();
  const bool had_one = std::exchange(in_transaction_, false);
  if (!std::exchange(busy_, false)) {
    if (had_one)
      lost_ = packet.piece;
    return true;
  }
  listener_.OnLost(std::string(packet.piece));
  return false;
}

void DatabaseSession::Close(std::string why) {
  watch_.Watch(false, false);
  out_.clear();
  busy_ = in_transaction_ = false;
  link_.reset();
  listener_.OnClosed(std::move(why));
}

}  // namespace cloister
