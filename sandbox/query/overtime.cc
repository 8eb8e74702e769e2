#include "sandbox/query/overtime.h"

#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>

namespace cloister {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBeyond{10000};
constexpr timeval kPeriod{.tv_sec = 0, .tv_usec = 500000};

// Read by the handler of a signal.
std::atomic<std::int64_t> last_moment{Clock::time_point::max().time_since_epoch().count()};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

void OnTimer(int /*signal*/) {
  if (Clock::now().time_since_epoch().count() > last_moment.load(std::memory_order_relaxed))
    ::_exit(kQueryExitOverTime);
}

}  // namespace

Result<void> WatchOvertime() {
  struct sigaction action = {};
  action.sa_handler = OnTimer;
  action.sa_flags = SA_RESTART;
  if (::sigaction(SIGALRM, &action, nullptr) != 0)
    return SystemError("sigaction");
  const itimerval timer{.it_interval = kPeriod, .it_value = kPeriod};
  if (::setitimer(ITIMER_REAL, &timer, nullptr) != 0)
    return SystemError("setitimer");
  return {};
}

void SetOvertime(std::chrono::steady_clock::time_point end) {
  const std::chrono::steady_clock::time_point last =
      end == Clock::time_point::max() ? end : end + kBeyond;
  last_moment.store(last.time_since_epoch().count(), std::memory_order_relaxed);
}

}  // namespace cloister
