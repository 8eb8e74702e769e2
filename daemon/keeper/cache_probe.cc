#include "daemon/keeper/cache_probe.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "config/cache_address.h"

namespace cloister {

void CacheProbe::Begin(int directory_fd, MonotonicTime now) {
  End();
  directory_fd_ = directory_fd;
  next_ = now + kPeriod;
}

void CacheProbe::End() {
  socket_.Reset();
  next_.reset();
  asked_.reset();
  is_late_ = false;
}

bool CacheProbe::Look(MonotonicTime now) {
  if (!next_ || now < *next_)
    return false;
  next_ = now + kPeriod;
  TakeAnswer();
  const bool is_late = asked_ && now - *asked_ >= kHangsAfter;
  // It may be we who slept: then the answer is there at the next look.
  if (std::exchange(is_late_, is_late) && is_late)
    return true;
  if (!asked_ || !socket_.valid())
    Ask(now);
  return false;
}

void CacheProbe::TakeAnswer() {
  std::array<char, 256> answer{};
  while (socket_.valid()) {
    const ssize_t size = ::recv(socket_.get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR)
      continue;
    if (size < 0 && errno == EAGAIN)
      return;
    asked_.reset();
    if (size <= 0)
      return socket_.Reset();
    if (static_cast<std::size_t>(size) < answer.size())
      return;
  }
}

void CacheProbe::Ask(MonotonicTime now) {
  if (!socket_.valid()) {
    socket_.Reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path =
        "/proc/self/fd/" + std::to_string(directory_fd_) + "/" + std::string(kCacheSocket);
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
        0) {
      // It accepts nobody any more.
      if (errno == EAGAIN && !asked_)
        asked_ = now;
      return socket_.Reset();
    }
  }
  constexpr std::string_view kQuestion = "PING\r\n";
  if (::send(socket_.get(), kQuestion.data(), kQuestion.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
      static_cast<ssize_t>(kQuestion.size()))
    return socket_.Reset();
  if (!asked_)
    asked_ = now;
}

}  // namespace cloister
