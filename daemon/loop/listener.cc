#include "daemon/loop/listener.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace cloister {
namespace {

constexpr int kAcceptsPerTurn = 64;

UniqueFd OpenReserve() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Listener::Listener(Loop& loop, UniqueFd fd, Listener::Handler& handler)
    : fd_(std::move(fd)),
      handler_(handler),
      reserve_(OpenReserve()),
      watch_(std::make_unique<FdWatch>(loop, fd_.get(), static_cast<FdWatch::Handler&>(*this))) {}

Listener::~Listener() = default;

void Listener::Start() {
  watch_->Watch(true, false);
}
void Listener::Stop() {
  watch_->Watch(false, false);
}

void Listener::OnReadable() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    UniqueFd accepted(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (accepted.valid()) {
      handler_.OnAccepted(std::move(accepted));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED)
      continue;
    if (errno != EMFILE && errno != ENFILE)
      return;
    reserve_.Reset();
    accepted.Reset(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (accepted.valid())
      handler_.OnExhausted(accepted.get());
    accepted.Reset();
    reserve_ = OpenReserve();
    return;
  }
}

}  // namespace cloister
