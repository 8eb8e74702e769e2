#include "daemon/workers/query_link.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "apis/query/packets.h"
#include "daemon/workers/query_process.h"

namespace cloister {
namespace {

constexpr std::size_t kReasonMax = 1024;

}  // namespace

QueryLink::QueryLink(Loop& loop, QueryProcess& process, UniqueFd far_end, std::uint64_t number,
                     Listener& listener)
    : loop_(loop),
      process_(process),
      far_end_(std::move(far_end)),
      number_(number),
      listener_(listener) {
  Watch(true, false);
}

QueryLink::~QueryLink() {
  process_.Leave(*this);
}

void QueryLink::Watch(bool readable, bool writable) {
  if (watch_ == nullptr)
    watch_ =
        std::make_unique<FdWatch>(loop_, far_end_.get(), static_cast<FdWatch::Handler&>(*this));
  watch_->Watch(readable, writable);
}

void QueryLink::OnReadable() {
  char byte = 0;
  const ssize_t size = ::recv(far_end_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
  if (size < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  watch_.reset();
  // The worker has closed its end: its death is told elsewhere.
  if (size <= 0)
    return;
  process_.Want(*this);
}

void QueryLink::OnAttached() {
  attached_ = true;
}

void QueryLink::OnReleased() {
  attached_ = false;
  Watch(true, false);
}

void QueryLink::ThrowAway() const {
  // The worker may go on sending: what is more than its socket holds is for later.
  constexpr int kPacketsMax = 1024;
  char byte = 0;
  for (int i = 0; i < kPacketsMax; ++i)
    if (::recv(far_end_.get(), &byte, 1, MSG_DONTWAIT) <= 0)
      return;
}

void QueryLink::OnLost(std::string why) {
  attached_ = false;
  ThrowAway();
  why.resize(std::min(why.size(), kReasonMax));
  reset_ = EncodeQueryPacket(
      {.type = QueryPacketType::kReset, .flags = 0, .epoch = ++epoch_, .id = 0, .piece = why});
  OnWritable();
}

void QueryLink::OnWritable() {
  const ssize_t sent =
      ::send(far_end_.get(), reset_.data(), reset_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR))
    return Watch(false, true);
  reset_.clear();
  if (sent < 0)
    return watch_.reset();
  Watch(true, false);
}

void QueryLink::OnBroken() {
  attached_ = false;
  listener_.OnBadQuery(
      {ErrorCode::kProtocol, "what it sent to its app's database is no statement"});
}

}  // namespace cloister
