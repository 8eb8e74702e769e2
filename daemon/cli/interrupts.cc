#include "daemon/cli/interrupts.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace cloister {

Result<Interrupts> Interrupts::Catch() {
  sigset_t interrupt = {};
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  if (::sigprocmask(SIG_BLOCK, &interrupt, nullptr) != 0)
    return SystemError("blocking SIGINT");
  UniqueFd fd(::signalfd(-1, &interrupt, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd.valid())
    return SystemError("making a signalfd");
  return Interrupts(std::move(fd));
}

bool Interrupts::Take() {
  signalfd_siginfo info = {};
  bool came = false;
  while (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info))
    came = true;
  return came;
}

}  // namespace cloister
