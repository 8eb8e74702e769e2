#include "daemon/loop/stream.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "apis/base/check.h"
#include "apis/wire/hang_up.h"

namespace cloister {
namespace {

constexpr std::size_t kReadSize = 64 * 1024;

}  // namespace

Stream::Stream(Loop& loop, UniqueFd fd, Stream::Handler& handler)
    : loop_(loop),
      fd_(std::move(fd)),
      handler_(handler),
      watch_(std::in_place, loop, fd_.get(), static_cast<FdWatch::Handler&>(*this)) {}

Stream::~Stream() = default;

void Stream::ReadStart() {
  reading_ = true;
  UpdateWatch();
}

void Stream::ReadStop() {
  reading_ = false;
  UpdateWatch();
}

void Stream::UpdateWatch() {
  if (watch_.has_value())
    watch_->Watch(reading_ && !broken_, blocked_ && !broken_);
}

void Stream::Write(std::string_view bytes) {
  out() += bytes;
  Touch();
}

void Stream::Touch() {
  if (!blocked_ && !broken_)
    loop_.AtTurnEnd(static_cast<TurnTask&>(*this));
}

void Stream::OnTurnEnd() {
  Flush();
}

void Stream::Break() {
  broken_ = true;
  blocked_ = false;
  out_.clear();
  out_sent_ = 0;
  UpdateWatch();
  handler_.OnEnd(true);
}

std::size_t Stream::Send(std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t sent =
        ::send(fd_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent < 0 && errno == EAGAIN)
      break;
    if (sent < 0) {
      Break();
      return done;
    }
    done += static_cast<std::size_t>(sent);
    sent_ += static_cast<std::size_t>(sent);
  }
  return done;
}

std::size_t Stream::SendNow(std::string_view bytes, std::size_t keep) {
  if (broken_ || !watch_.has_value())
    return bytes.size();
  if (pending() > 0)
    return 0;
  const std::size_t sent = Send(bytes.substr(0, kNowMax));
  if (broken_)
    return bytes.size();
  const std::string_view kept = bytes.substr(sent, keep);
  if (kept.empty())
    return sent;
  out() += kept;
  // Also where the peer would take more: after the others had their turn.
  blocked_ = true;
  UpdateWatch();
  return sent + kept.size();
}

void Stream::Flush() {
  if (broken_ || !watch_.has_value())
    return;
  const bool had_bytes = pending() > 0;
  out_sent_ += Send(std::string_view(out_).substr(out_sent_));
  if (broken_)
    return;
  blocked_ = pending() > 0;
  UpdateWatch();  // costs nothing when nothing changed
  if (blocked_)
    return;
  out_sent_ = 0;
  if (out_.capacity() > kNoCapacity)
    loop_.GiveBuffer(std::move(out_));
  out_.clear();
  if (shutdown_wanted_)
    ::shutdown(fd_.get(), SHUT_WR);
  if (had_bytes)
    handler_.OnDrained();
}

void Stream::ShutdownWrite() {
  shutdown_wanted_ = true;
  Touch();
}

UniqueFd Stream::Release() {
  CHECK(pending() == 0);
  watch_.reset();
  reading_ = false;
  return std::move(fd_);
}

void Stream::OnReadable() {
  // One buffer for all streams: the loop is one thread and the view ends with the call.
  static thread_local std::array<char, kReadSize> buffer;
  if (!reading_ || broken_)
    return;
  ssize_t size = -1;
  do {
    size = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  if (size > 0) {
    handler_.OnData({buffer.data(), static_cast<std::size_t>(size)});
    return;
  }
  if (size < 0 && errno == EAGAIN)
    return;
  reading_ = false;
  if (size < 0 || HasHungUp(fd_.get())) {
    Break();
    return;
  }
  UpdateWatch();
  handler_.OnEnd(false);
}

void Stream::OnWritable() {
  if (blocked_)
    Flush();
}

}  // namespace cloister
