#pragma once

// What apps' workers may take of the node's one loop with frames that nothing else meters.
//
// An answer is paid for with the request that it answers. All other frames cost the loop time that
// is nobody's quota: here each app has a little of it that is always its own, and more as long as
// the apps together leave it. The channels of an app that has nothing left are not read until there
// is: what its workers go on sending fills their sockets, and then they wait in their own time.
// An app that logs 1,000 events a second or calls 50,000 times a second is far from that. Runs on
// the loop thread.

#include <cstddef>
#include <memory>
#include <unordered_map>
#include <vector>

#include "apis/base/names.h"
#include "apis/quota/quota.h"
#include "apis/wire/frame.h"
#include "daemon/loop/list_link.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"

namespace cloister {

// About how many microseconds of the loop a frame takes, on a slow machine; 0: it is paid for.
double LoopCostOf(const Frame& frame);
// The same of a wake-up with at least one frame that is not paid for.
inline constexpr double kLoopCostOfRead = 2;

// Rates are microseconds of the loop a second, bursts microseconds.
struct LoopBudgetOptions {
  double app_rate = 250'000;
  double app_burst = 20'000;
  // Of all apps together, beyond what is each one's own.
  double shared_rate = 200'000;
  double shared_burst = 20'000;
  double own_rate = 10'000;
  double own_burst = 10'000;
};

class LoopBudget;

// Of one app.
class LoopAccount {
 public:
  // A channel.
  class Waiter : private ListLink {
   public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    virtual ~Waiter() = default;
    // There is something again, perhaps little. It may wait again.
    virtual void OnBudget() = 0;
    bool waits() const { return linked(); }
    void StopWaiting() { Unlink(); }

   private:
    friend class LoopAccount;
  };
  // Alive while a channel has more to give in the next turn.
  class Busy {
   public:
    explicit Busy(LoopAccount& account);
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy();

   private:
    LoopBudget& budget_;
  };

  LoopAccount(LoopBudget& budget, AppId app);
  LoopAccount(const LoopAccount&) = delete;
  LoopAccount& operator=(const LoopAccount&) = delete;
  ~LoopAccount() = default;

  // Takes the cost when it is there.
  bool Take(double cost);
  // Takes it anyway: what comes next waits longer.
  void Owe(double cost) { total_.Owe(cost); }
  // How many frames a channel gives in this turn: of a fixed number, its part among those that have
  // more than their part.
  std::size_t FramesOfTurn() const;
  // OnBudget() comes once, in the order of waiting.
  void Await(Waiter& waiter);

 private:
  friend class LoopBudget;

  bool HasSome(MonotonicTime now) const;
  // Whether somebody still waits.
  bool Wake(MonotonicTime now);

  LoopBudget& budget_;
  AppId app_;
  TokenBucket total_;
  TokenBucket own_;
  ListLink waiters_;
  QuotaNotice notice_;
};

class LoopBudget {
 public:
  explicit LoopBudget(Loop& loop, const LoopBudgetOptions& options = {});
  LoopBudget(const LoopBudget&) = delete;
  LoopBudget& operator=(const LoopBudget&) = delete;
  // All accounts must be gone but those that it knows alone.
  ~LoopBudget() = default;

  // The same for all who ask while somebody has it.
  std::shared_ptr<LoopAccount> AccountOf(AppId app);

 private:
  friend class LoopAccount;
  friend class LoopAccount::Busy;

  void Await(LoopAccount& account);
  void Tick();

  Loop& loop_;
  LoopBudgetOptions options_;
  TokenBucket shared_;
  std::size_t busy_ = 0;
  std::unordered_map<AppId, std::weak_ptr<LoopAccount>> accounts_;
  std::size_t accounts_max_;                           // beyond, those that are gone are forgotten
  std::vector<std::shared_ptr<LoopAccount>> waiting_;  // whose channels wait
  Timer tick_;
};

}  // namespace cloister
