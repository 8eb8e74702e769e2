#pragma once

// Very many timeouts of one duration: arming, re-arming and disarming cost a few pointers.
//
// The entries wait in the order of their deadlines, so one timer for all of them is enough, and it
// is only touched when it fires. An entry fires up to a few milliseconds late, never early.

#include "apis/base/clock.h"
#include "daemon/loop/list_link.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"

namespace cloister {

// What is armed in a TimeoutQueue, in one at a time. Destroying it disarms it.
class TimeoutEntry : private ListLink {
 public:
  virtual ~TimeoutEntry() = default;
  // Once; may arm the entry again, and may destroy it.
  virtual void OnTimeout() = 0;

  void Disarm() { Unlink(); }
  bool armed() const { return linked(); }

 private:
  friend class TimeoutQueue;
  MonotonicTime deadline_;
};

class TimeoutQueue {
 public:
  // `duration` is not zero.
  TimeoutQueue(Loop& loop, Millis duration);

  // (Re)starts the duration for `entry`, which leaves any other queue.
  void Arm(TimeoutEntry& entry);

  Millis duration() const { return duration_; }

 private:
  void FireDue();

  Loop& loop_;
  Millis duration_;
  Timer timer_;
  ListLink entries_;  // TimeoutEntry, by deadline
};

}  // namespace cloister
