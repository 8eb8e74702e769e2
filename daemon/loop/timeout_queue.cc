#include "daemon/loop/timeout_queue.h"

#include "apis/base/check.h"

namespace cloister {

TimeoutQueue::TimeoutQueue(Loop& loop, Millis duration)
    : loop_(loop), duration_(duration), timer_(loop) {
  CHECK(duration > Millis(0));
}

void TimeoutQueue::Arm(TimeoutEntry& entry) {
  entry.deadline_ = loop_.Now() + duration_;
  entry.AppendTo(entries_);
  if (!timer_.active())
    timer_.Start(duration_, [this] { FireDue(); });
}

void TimeoutQueue::FireDue() {
  while (entries_.linked()) {
    auto& entry = static_cast<TimeoutEntry&>(entries_.first());
    if (entry.deadline_ > loop_.Now()) {
      const auto rest = std::chrono::ceil<Millis>(entry.deadline_ - loop_.Now());
      timer_.Restart(rest);
      return;
    }
    entry.Unlink();
    entry.OnTimeout();
  }
}

}  // namespace cloister
