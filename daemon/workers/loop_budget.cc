#include "daemon/workers/loop_budget.h"

#include <algorithm>
#include <utility>

#include "apis/base/log.h"

namespace cloister {
namespace {

// While somebody waits. What a flood gets at once is this long's share, so it is short.
constexpr Millis kTick{2};
// Less than this is not worth a wake-up.
constexpr double kWakeCost = 100;
// Frames of one turn, of all channels that have more than their part of it.
constexpr std::size_t kFramesOfTurn = 256;
constexpr std::size_t kFramesOfTurnLeast = 4;
constexpr std::size_t kAccountsMax = 256;
// To read and to copy a byte.
constexpr double kCostOfByte = 1.0 / 8192;

}  // namespace

double LoopCostOf(const Frame& frame) {
  const double bytes = static_cast<double>(frame.payload.size()) * kCostOfByte;
  switch (frame.type) {
    case FrameType::kResponse:
    case FrameType::kResponseAbort:
    case FrameType::kReady:
    case FrameType::kBootFailed:
      return 0;
    case FrameType::kResponseBody:
      // Its bytes are paid for by whoever reads them.
      return 0.5;
    case FrameType::kLog:
    case FrameType::kRefused:
      return 0.3 + bytes;
    case FrameType::kCall:
      return 2 + bytes;
    default:
      return 0.5 + bytes;
  }
}

// --- An app

LoopAccount::Busy::Busy(LoopAccount& account) : budget_(account.budget_) {
  ++budget_.busy_;
}

LoopAccount::Busy::~Busy() {
  --budget_.busy_;
}

LoopAccount::LoopAccount(LoopBudget& budget, AppId app)
    : budget_(budget),
      app_(app),
      total_(budget.options_.app_rate, budget.options_.app_burst),
      own_(budget.options_.own_rate, budget.options_.own_burst) {}

bool LoopAccount::Take(double cost) {
  const MonotonicTime now = budget_.loop_.Now();
  if (!total_.Take(cost, now))
    return false;
  if (own_.Take(cost, now) || budget_.shared_.Take(cost, now))
    return true;
  total_.Give(cost);
  return false;
}

std::size_t LoopAccount::FramesOfTurn() const {
  return std::max(kFramesOfTurn / std::max<std::size_t>(budget_.busy_, 1), kFramesOfTurnLeast);
}

void LoopAccount::Await(Waiter& waiter) {
  waiter.AppendTo(waiters_);
  if (notice_.Near(budget_.loop_.Now()))
    Log(LogLevel::kInfo, "app_held_back", {{"app", app_.number}});
  budget_.Await(*this);
}

bool LoopAccount::HasSome(MonotonicTime now) const {
  const LoopBudgetOptions& options = budget_.options_;
  const double some = std::min({kWakeCost, options.app_burst / 2, options.own_burst / 2});
  return total_.Has(some, now) && (own_.Has(some, now) || budget_.shared_.Has(some, now));
}

bool LoopAccount::Wake(MonotonicTime now) {
  // Whoever waits again does so behind those who wait already.
  ListLink woken;
  while (waiters_.linked())
    waiters_.first().AppendTo(woken);
  while (woken.linked() && HasSome(now)) {
    auto& waiter = static_cast<Waiter&>(woken.first());
    waiter.StopWaiting();
    waiter.OnBudget();
  }
  while (waiters_.linked())
    waiters_.first().AppendTo(woken);
  while (woken.linked())
    woken.first().AppendTo(waiters_);
  return waiters_.linked();
}

// --- All apps

LoopBudget::LoopBudget(Loop& loop, const LoopBudgetOptions& options)
    : loop_(loop),
      options_(options),
      shared_(options.shared_rate, options.shared_burst),
      accounts_max_(kAccountsMax),
      tick_(loop) {}

std::shared_ptr<LoopAccount> LoopBudget::AccountOf(AppId app) {
  if (accounts_.size() >= accounts_max_) {
    std::erase_if(accounts_, [](const auto& each) { return each.second.expired(); });
    accounts_max_ = std::max(kAccountsMax, 2 * accounts_.size());
  }
  std::weak_ptr<LoopAccount>& known = accounts_[app];
  std::shared_ptr<LoopAccount> account = known.lock();
  if (account == nullptr) {
    account = std::make_shared<LoopAccount>(*this, app);
    known = account;
  }
  return account;
}

void LoopBudget::Await(LoopAccount& account) {
  const auto waits = [&account](const auto& each) { return each.get() == &account; };
  if (std::ranges::none_of(waiting_, waits))
    waiting_.push_back(accounts_.at(account.app_).lock());
  if (!tick_.active())
    tick_.Start(kTick, [this] { Tick(); });
}

void LoopBudget::Tick() {
  // Another one is first in the next tick.
  if (!waiting_.empty())
    std::ranges::rotate(waiting_, waiting_.begin() + 1);
  const std::vector<std::shared_ptr<LoopAccount>> accounts = std::exchange(waiting_, {});
  const MonotonicTime now = loop_.Now();
  std::vector<std::shared_ptr<LoopAccount>> waiting;
  for (const std::shared_ptr<LoopAccount>& account : accounts)
    if (account->Wake(now))
      waiting.push_back(account);
  // Some may have begun to wait meanwhile.
  for (std::shared_ptr<LoopAccount>& account : std::exchange(waiting_, {}))
    if (std::ranges::find(waiting, account) == waiting.end())
      waiting.push_back(std::move(account));
  waiting_ = std::move(waiting);
  if (!waiting_.empty())
    tick_.Start(kTick, [this] { Tick(); });
}

}  // namespace cloister
