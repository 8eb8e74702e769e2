#include "daemon/workers/query_process.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "apis/base/log.h"
#include "apis/wire/channel.h"
#include "apis/wire/fd_socket.h"

namespace cloister {
namespace {

constexpr Bytes kMemory = MiB(192);
constexpr Bytes kAddressSpace = MiB(704);
// A process that ends like this, now and then, costs its statements; in a row, it is not started
// again for a while.
constexpr std::uint32_t kFailuresFree = 3;
constexpr Millis kRetryFirst{100};
constexpr Millis kRetryMax{5000};
constexpr std::uint32_t kDoublingsMax = 6;
// Starts a second in the long run, and at once: one whose statements end it serves in between, so
// it never fails in a row.
constexpr double kStartsRate = 1;
constexpr double kStartsBurst = 12;
constexpr Millis kAttachRetry{10};
// While it backs off, whoever asks is told at the end of so long, and asks no sooner again.
constexpr Millis kTellPeriod{50};
// A process may report damage without end.
constexpr Millis kDamagePeriod{60000};
// From the order to the first statement, with the copy of a database that a check works on.
constexpr Millis kStartMax{30000};
// sandbox/query/overtime.h
constexpr int kExitOverTime = 9;

Error Protocol(const char* what) {
  return Error{ErrorCode::kProtocol, what};
}

}  // namespace

QueryProcess::QueryProcess(WorkerEnv& env, Host& host, QueryOwner owner, Millis idle)
    : env_(env),
      host_(host),
      owner_(std::move(owner)),
      idle_(idle),
      starts_(kStartsRate, kStartsBurst),
      start_timer_(env.loop),
      attach_timer_(env.loop),
      tell_timer_(env.loop),
      bury_timer_(env.loop) {}

void QueryProcess::Leave(QueryLink& link) {
  std::erase(links_, &link);
  std::erase(wanting_, &link);
  if (links_.empty())
    host_.OnUnused(*this);
}

void QueryProcess::Dismiss() {
  // A copy: they leave.
  for (QueryLink* const link : std::vector<QueryLink*>(links_))
    link->OnForgotten();
}

void QueryProcess::Want(QueryLink& link) {
  wanting_.push_back(&link);
  if (state_ == State::kServing)
    return AttachAll();
  if (state_ != State::kGone)
    return;
  const MonotonicTime now = env_.loop.Now();
  if ((failures_ > kFailuresFree && now < retry_at_) || !starts_.Take(1, now)) {
    if (!tell_timer_.active())
      tell_timer_.Start(kTellPeriod, [this] {
        if (state_ == State::kGone)
          TellAll(last_failure_);
      });
    return;
  }
  state_ = State::kOpening;
  host_.OpenFiles(*this);
}

void QueryProcess::OnFiles(Result<QueryFiles> files) {
  if (state_ != State::kOpening) {
    if (files.ok() && !files.value().copy.empty())
      host_.DropCopy(owner_, files.value().copy);
    return;
  }
  if (!files.ok()) {
    state_ = State::kGone;
    Log(LogLevel::kError, "query_files", {{"app", owner_.name}, {"error", files.error().message}});
    // Where the server is, and as whom the node asks there, is the operator's.
    return FailAll("the app's database cannot be opened: " +
                   (files.error().code == ErrorCode::kUnavailable
                        ? "its server is not to be used now; the node's log says why"
                        : files.error().message));
  }
  mode_ = files.value().mode;
  copy_ = std::move(files.value().copy);
  state_ = State::kStarting;
  boot_failure_.clear();
  process_ = std::make_unique<WorkerProcess>(env_, static_cast<WorkerProcess::Listener&>(*this));
  process_->Start({.job = files.value().job,
                   .app_id = owner_.app,
                   .app = owner_.name,
                   .version = {},
                   .entry = {},
                   .limits = {.memory_max = kMemory,
                              .address_space_max = kAddressSpace,
                              .threads_max = 1,
                              // The app's workers have the say.
                              .cpu_millis = 0},
                   .group = owner_.group,
                   .image = nullptr,
                   .files = std::move(files.value().files)});
  start_timer_.Start(kStartMax, [this] {
    boot_failure_ = "it was not ready in time";
    process_->End();
  });
}

QueryOrders QueryProcess::Orders() const {
  const auto millis = [](Millis time) { return static_cast<std::uint64_t>(time.count()); };
  return {.mode = static_cast<std::uint32_t>(mode_),
          .bytes_max = quota_.bytes_max.count,
          .statement_ms = millis(quota_.statement_max),
          .result_max = quota_.result_max.count,
          .statements_rate = quota_.statements_rate,
          .transactions_max = quota_.transactions_max,
          .transaction_ms = millis(quota_.transaction_max),
          .idle_ms = millis(idle_)};
}

void QueryProcess::OnProcessStarted() {
  control_ = process_->TakeQuery();
  // A full socket must not hold the loop.
  (void)::fcntl(control_.get(), F_SETFL, O_NONBLOCK);
  SendOrders();
}

void QueryProcess::SendOrders() {
  orders_owed_ = !SendPacket(control_.get(), EncodeMessage(Orders())).ok();
  if (orders_owed_)
    TryAgain();
}

void QueryProcess::TryAgain() {
  if (attach_timer_.active())
    return;
  attach_timer_.Start(kAttachRetry, [this] {
    if (orders_owed_)
      SendOrders();
    if (state_ == State::kServing)
      AttachAll();
  });
}

void QueryProcess::SetQuota(const QueryQuota& quota) {
  if (quota == quota_)
    return;
  quota_ = quota;
  if (control_.valid())
    SendOrders();
}

void QueryProcess::OnProcessFrame(const Frame& frame) {
  const Result<void> taken = TakeFrame(frame);
  if (!taken.ok())
    OnProcessGarbage(taken.error());
}

void QueryProcess::OnProcessGarbage(const Error& error) {
  Log(LogLevel::kWarning, "query_protocol", {{"app", owner_.name}, {"error", error.message}});
  process_->End();
}

Result<void> QueryProcess::TakeFrame(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kReady:
      if (state_ != State::kStarting)
        return Protocol("it became ready twice");
      state_ = State::kServing;
      start_timer_.Stop();
      AttachAll();
      return {};
    case FrameType::kBootFailed:
      return TakeBootFailure(frame);
    case FrameType::kQueryUse:
      return TakeUse(frame);
    case FrameType::kQueryBroken:
      return TakeBroken(frame);
    default:
      return Protocol("a frame that no query process sends");
  }
}

Result<void> QueryProcess::TakeBootFailure(const Frame& frame) {
  WireReader reader(frame.payload);
  const BootReport report = TRY(BootReport::Decode(reader));
  boot_failure_ = report.message;
  return {};
}

Result<void> QueryProcess::TakeUse(const Frame& frame) {
  use_ = TRY(QueryUse::Decode(frame.payload));
  // It has done something: what failed before is past.
  if (use_.served > 0)
    failures_ = 0;
  host_.OnUse(*this, use_);
  return {};
}

bool QueryProcess::TellsDamage(MonotonicTime now) {
  if (damage_told_ && now - *damage_told_ < kDamagePeriod)
    return false;
  damage_told_ = now;
  return true;
}

Result<void> QueryProcess::TakeBroken(const Frame& frame) {
  WireReader reader(frame.payload);
  const std::uint64_t number = reader.U64();
  if (!reader.AtEnd())
    return Protocol("a malformed report of a worker");
  const auto link = std::ranges::find(links_, number, &QueryLink::number);
  if (link != links_.end() && (*link)->attached())
    (*link)->OnBroken();
  return {};
}

void QueryProcess::AttachAll() {
  while (!wanting_.empty()) {
    // Nobody is served within a quota that has gone.
    if (orders_owed_ || !Attach(*wanting_.front()))
      return TryAgain();
    wanting_.front()->OnAttached();
    wanting_.erase(wanting_.begin());
  }
}

bool QueryProcess::Attach(QueryLink& link) {
  return SendPacket(control_.get(),
                    EncodeMessage(QueryAttach{.link = link.number(), .epoch = link.epoch()}),
                    {link.fd()})
      .ok();
}

void QueryProcess::FailAll(const std::string& why) {
  CountFailure(why);
  TellAll(why);
}

void QueryProcess::CountFailure(const std::string& why) {
  const std::uint32_t beyond =
      failures_ > kFailuresFree ? std::min(failures_ - kFailuresFree, kDoublingsMax) : 0;
  ++failures_;
  retry_at_ = env_.loop.Now() + std::min(kRetryMax, kRetryFirst * (1 << beyond));
  last_failure_ = why;
}

void QueryProcess::TellAll(const std::string& why) {
  for (QueryLink* const link : std::exchange(wanting_, {}))
    link->OnLost(why);
}

std::string QueryProcess::DescribeLoss(const ProcessEnd& end) const {
  const std::string begin = "the process of the app's database ";
  if (!boot_failure_.empty())
    return "the app's database cannot be used: " + boot_failure_;
  if (end.how == ProcessEnd::How::kNotMade)
    return begin + "could not be made: " + end.error;
  if (end.how == ProcessEnd::How::kExited && end.number == kExitOverTime)
    return begin + "was ended: one SQL function ran on after query.statement was over";
  if (end.how == ProcessEnd::How::kSignalled)
    return begin + "ended by signal " + std::to_string(end.number) +
           ": what was not acknowledged is rolled back";
  return begin + "ended: what was not acknowledged is rolled back";
}

void QueryProcess::OnProcessEnded(const ProcessEnd& end) {
  const State was = std::exchange(state_, State::kGone);
  control_.Reset();
  orders_owed_ = false;
  start_timer_.Stop();
  attach_timer_.Stop();
  Bury();
  use_.transactions = 0;
  LeaveCopy();
  const bool in_order =
      was == State::kServing && end.how == ProcessEnd::How::kExited && end.number == 0;
  const std::string why = DescribeLoss(end);
  if (!in_order) {
    Log(LogLevel::kWarning, "query_ended", {{"app", owner_.name}, {"why", why}});
    host_.Say(*this, kLogError, "Statements failed: " + why + ".");
  }
  // A copy: calls come back here.
  for (QueryLink* const link : std::vector<QueryLink*>(links_)) {
    if (!link->attached())
      continue;
    if (in_order)
      link->OnReleased();
    else
      link->OnLost(why);
  }
  if (was != State::kServing)
    return FailAll(why);
  if (!in_order) {
    CountFailure(why);
    host_.OnLost(*this);
  }
  // Whoever came just now gets the next one.
  for (QueryLink* const link : std::exchange(wanting_, {}))
    link->OnReleased();
}

void QueryProcess::LeaveCopy() {
  if (!copy_.empty())
    host_.DropCopy(owner_, std::exchange(copy_, {}));
}

void QueryProcess::Bury() {
  dead_ = std::move(process_);
  bury_timer_.Start(Millis(0), [this] { dead_.reset(); });
}

}  // namespace cloister
