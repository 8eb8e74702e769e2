#include "daemon/workers/worker.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "daemon/workers/query_processes.h"

namespace cloister {
namespace {

// One slow request must not make the average forget for long that the others are fast.
constexpr Micros kServiceSampleMax{8000};
constexpr int kServiceWeight = 8;
// An honest worker reads all there is before it answers; it leaves less than two inboxes unread.
constexpr std::size_t kUnreadMax =
    2 * kInboxSlots * (kHeadMax + kInlineBodyMax) + kRequestWindow + kFramePayloadMax;

// An honest one sends one for each half of the window that it had.
constexpr int kLateCreditsMax = 16;

BootFailure FailureOf(const char* code, std::string message) {
  return {.code = code, .message = std::move(message), .file = {}, .line = 0, .traceback = {}};
}

Caller CallerOf(const ReleaseSpec& spec) {
  CHECK((spec.writes == Writes::kOverlay) == (spec.overlay != 0));
  return {.app = spec.app_id,
          .name = spec.app,
          .version = spec.version,
          .overlay = spec.overlay,
          .quota = spec.call_quota};
}

Error Protocol(const char* what) {
  return Error{ErrorCode::kProtocol, what};
}

}  // namespace

Worker::Worker(WorkerEnv& env, const ReleaseSpec& spec, Worker::Host& host)
    : env_(env),
      spec_(spec),
      host_(host),
      log_(env.logs, env.clock, spec),
      config_(log_),
      process_(env, static_cast<WorkerProcess::Listener&>(*this)),
      calls_(env.calls, static_cast<WorkerCalls::Channel&>(*this), CallerOf(spec)),
      recent_service_(env.options.fast_service),
      started_at_(env.clock.Now()),
      tick_(env.loop),
      state_timer_(env.loop) {}

Worker::~Worker() {
  for (WorkerRequest* const request : in_flight_.NewestFirst())
    request->relay.Fail(503, "node_stopping", "The node is stopping.");
}

void Worker::Start(std::shared_ptr<const UniqueFd> image, std::shared_ptr<const RunConfig> config) {
  made_with_ = spec_.limits;
  config_.Begin(std::move(config));
  process_.Start({.job = WorkerJob::kServe,
                  .app_id = spec_.app_id,
                  .app = spec_.app.ToString(),
                  .version = spec_.version,
                  .entry = spec_.entry,
                  .limits = spec_.limits,
                  .group = GroupOf(spec_),
                  .image = std::move(image)});
  state_timer_.Start(env_.options.boot_timeout, [this] { OnBootTimeout(); });
}

void Worker::OnProcessStarted() {
  log_.SetWorker(process_.id());
  config_.Send(process_.channel());
  if (env_.queries != nullptr)
    query_ = env_.queries->MakeLink(spec_, process_.TakeQuery(),
                                    static_cast<QueryLink::Listener&>(*this));
}

void Worker::Deliver(std::shared_ptr<const RunConfig> config) {
  if (state_ != WorkerState::kDraining && state_ != WorkerState::kDead)
    config_.Deliver(std::move(config), process_.open() ? &process_.channel() : nullptr);
}

void Worker::OnBootTimeout() {
  boot_failure_ =
      FailureOf("boot_timeout", "The entry point was not imported within " +
                                    std::to_string(env_.options.boot_timeout.count()) +
                                    " ms. Importing must end: start nothing that waits.");
  // It may still say where it is.
  process_.Interrupt();
  state_timer_.Start(env_.options.interrupt_grace, [this] { process_.End(); });
}

WorkerInfo Worker::Info() const {
  const MonotonicTime now = env_.clock.Now();
  const WorkerRequest* const running = Claimed();
  return {.id = process_.id(),
          .pid = process_.pid(),
          .app = spec_.app,
          .release = spec_.release,
          .version = spec_.version,
          .state = WorkerStateName(state_),
          .requests = requests_,
          .request_id = running == nullptr ? std::string() : running->request_id,
          .request_age = running == nullptr
                             ? Millis(0)
                             : std::chrono::duration_cast<Millis>(now - running_since_),
          .age = std::chrono::duration_cast<Millis>(now - started_at_),
          .memory_bytes = 0,
          .config = spec_.config};
}

void Worker::Enter(WorkerState to) {
  CHECK(MayMove(state_, to));
  // Between idle and busy it goes with every request: nothing to tell.
  const bool routine = (state_ == WorkerState::kIdle && to == WorkerState::kBusy) ||
                       (state_ == WorkerState::kBusy && to == WorkerState::kIdle);
  if (!routine)
    Log(LogLevel::kDebug, "worker_state",
        {{"worker", process_.id().number},
         {"from", WorkerStateName(state_)},
         {"to", WorkerStateName(to)}});
  state_ = to;
  if (to == WorkerState::kIdle)
    idle_since_ = env_.loop.Now();
}

// --- Frames

void Worker::OnProcessFrame(const Frame& frame) {
  const Result<void> taken = TakeFrame(frame);
  if (!taken.ok())
    Violate(taken.error());
}

Result<void> Worker::TakeFrame(const Frame& frame) {
  const bool starting = state_ == WorkerState::kStarting;
  if (log_.in_event() && frame.type != FrameType::kLog)
    return Protocol("a frame in the middle of a log event");
  if (calls_.in_call() && frame.type != FrameType::kCall)
    return Protocol("a frame in the middle of a call");
  // Else answers to requests that it never read would pile those up here.
  const std::size_t unread = process_.channel().pending();
  if (unread > kUnreadMax + config_.UnreadOf(unread) + calls_.unread_replies())
    return Protocol("it goes on without reading what it is sent");
  switch (frame.type) {
    case FrameType::kResponse:
    case FrameType::kResponseBody:
    case FrameType::kResponseAbort:
      return TakeAnswer(frame);
    case FrameType::kBodyCredit:
      return TakeBodyCredit(frame);
    case FrameType::kLog: {
      const WorkerRequest* const request = in_flight_.Find(frame.id);
      return log_.TakeLog(frame, request != nullptr ? request->request_id : std::string_view());
    }
    case FrameType::kRefused:
      return log_.TakeRefused(frame);
    case FrameType::kCall:
      return calls_.TakeCall(frame);
    case FrameType::kReady:
      return starting ? TakeReady() : Protocol("it became ready twice");
    case FrameType::kBootFailed:
      return starting ? TakeBootFailed(frame) : Protocol("a boot that failed after it was done");
    default:
      return Protocol("a frame that is not for a worker that serves");
  }
}

Result<void> Worker::TakeReady() {
  state_timer_.Stop();
  boot_failure_.reset();
  boot_time_ = env_.clock.Now() - started_at_;
  Enter(WorkerState::kIdle);
  host_.OnWorkerReady(*this);
  return {};
}

Result<void> Worker::TakeBootFailed(const Frame& frame) {
  WireReader reader(frame.payload);
  const BootReport report = TRY(BootReport::Decode(reader));
  BootFailure failure = OwnedFailure(report);
  for (std::string* text : {&failure.message, &failure.file, &failure.traceback})
    log_.Redact(*text);
  if (boot_failure_) {
    failure.code = std::move(boot_failure_->code);
    failure.message = std::move(boot_failure_->message);
  }
  boot_failure_ = std::move(failure);
  process_.End();
  return {};
}

Result<void> Worker::TakeAnswer(const Frame& frame) {
  WorkerRequest* const request = in_flight_.Find(frame.id);
  if (request == nullptr)
    return Protocol("an answer to a request that it does not have");
  if (answering_ != nullptr && answering_ != request)
    return Protocol("an answer in the middle of another one");
  if (answering_ == nullptr && !IsClaimed(*request))
    return Protocol("an answer to a request that it had not claimed");
  if (batch_now_ == MonotonicTime())
    batch_now_ = env_.clock.Now();
  ResponseRelay& relay = request->relay;
  if (relay.exchange() != nullptr) {
    ExchangeNotes& notes = relay.exchange()->notes();
    notes.queued = running_since_ - request->received_at;
    notes.service = batch_now_ - running_since_;
  }
  const bool whole = TRY(frame.type == FrameType::kResponse       ? relay.TakeHead(frame)
                         : frame.type == FrameType::kResponseBody ? relay.TakeBody(frame)
                                                                  : relay.TakeAbort(frame));
  if (!whole) {
    answering_ = request;
    SendCredit(*request);
    return {};
  }
  relay.SendObject(env_.objects, spec_);
  Finish(*request);
  return {};
}

Result<void> Worker::TakeBodyCredit(const Frame& frame) {
  WorkerRequest* const request = in_flight_.Find(frame.id);
  WireReader reader(frame.payload);
  const std::uint32_t bytes = reader.U32();
  if (!reader.AtEnd())
    return Protocol("malformed credit");
  // A thread of the app may go on reading when the response is complete, but not for ever.
  if (request == nullptr)
    return ++late_credits_ <= kLateCreditsMax ? Result<void>()
                                              : Protocol("credit again and again for no request");
  TRY(request->body.TakeCredit(bytes));
  SendBody(*request);
  return {};
}

void Worker::OnProcessBatchEnd() {
  batch_now_ = {};
  if (settle_wanted_)
    Settle();
}

// --- Requests

std::size_t Worker::room() const {
  const bool serves = state_ == WorkerState::kIdle || state_ == WorkerState::kBusy;
  if (!serves || probing_ || large_in_flight_ || interrupted_at_.has_value())
    return 0;
  const std::size_t depth = recent_service_ < env_.options.fast_service ? kInboxSlots : 1;
  return depth - std::min(depth, in_flight_.size());
}

void Worker::Send(WorkerRequest& request) {
  CHECK(room() > 0 && (in_flight_.empty() || !request.HasLargeBody()));
  request.holder = this;
  request.relay.Start(*request.exchange);
  request.body.Reset();
  in_flight_.Add(request);
  if (!request.AppendTo(process_.channel().out(), spec_.limits.wall_max)) {
    request.relay.Fail(431, "head_too_large", "The request's head is too large for an app.");
    in_flight_.Remove(request);
    return host_.OnRequestDone(request);
  }
  process_.channel().Touch();
  const MonotonicTime now = env_.clock.Now();
  if (in_flight_.size() == 1)
    running_since_ = now;
  if (state_ == WorkerState::kIdle)
    Enter(WorkerState::kBusy);
  process_.inbox().Offer(RequestSlots::SlotOf(request.id), request.id);
  ArmTick(now + (in_flight_.size() > 1 ? env_.options.withdraw_after
                                       : std::min(env_.options.stall_after, WallMaxOf(request))));
  if (!request.HasLargeBody())
    return;
  large_in_flight_ = true;
  request.body.Start(request.exchange->request().body, request.id);
  SendBody(request);
}

void Worker::SendBody(WorkerRequest& request) {
  const Result<void> sent = request.body.Send(process_.channel());
  if (sent.ok())
    return;
  // The worker waits for bytes that will never come.
  Log(LogLevel::kError, "request_body_lost", {{"error", sent.error().message}});
  request.relay.Fail(500, "internal_error", "The node lost the request's body.");
  retiring_ = true;
  process_.End();
  Die("worker_died", "The node lost the request's body.");
}

void Worker::SendCredit(WorkerRequest& request) {
  const std::uint32_t bytes = request.relay.TakeCredit();
  if (bytes == 0 || !process_.open())
    return;
  std::string& out = process_.channel().out();
  const std::size_t begin = BeginFrame(out, FrameType::kCredit, 0, request.id);
  WireWriter(out).U32(bytes);
  FinishFrame(out, begin);
  process_.channel().Touch();
}

void Worker::Finish(WorkerRequest& request) {
  const Micros service = std::min(batch_now_ - running_since_, kServiceSampleMax);
  recent_service_ += (service - recent_service_) / kServiceWeight;
  running_since_ = batch_now_;
  ++requests_;
  probing_ = false;
  settle_wanted_ = true;
  if (!request.relay.complaint().empty())
    log_.Say(kLogError, request.relay.complaint(), request.request_id);
  Forget(request);
  host_.OnRequestDone(request);
}

void Worker::Forget(WorkerRequest& request) {
  in_flight_.Remove(request);
  late_credits_ = 0;
  // A large body travels alone, so this was it.
  large_in_flight_ = false;
  request.body.Reset();
  if (answering_ == &request)
    answering_ = nullptr;
}

bool Worker::IsClaimed(const WorkerRequest& request) const {
  return process_.inbox().IsClaimed(RequestSlots::SlotOf(request.id), request.id);
}

const WorkerRequest* Worker::Claimed() const {
  const WorkerRequest* oldest = nullptr;
  for (const WorkerRequest* const request : in_flight_.NewestFirst())
    if (IsClaimed(*request))
      oldest = request;
  return oldest;
}

// A claim is final, and one that drains has only claimed requests left. A word that is neither
// could be withdrawn by nobody and would never be late.
bool Worker::IsInboxSound() const {
  return std::ranges::all_of(in_flight_.NewestFirst(), [this](const WorkerRequest* request) {
    const std::size_t slot = RequestSlots::SlotOf(request->id);
    const bool may_wait = state_ != WorkerState::kDraining;
    return (may_wait && process_.inbox().IsOffered(slot, request->id)) ||
           process_.inbox().IsClaimed(slot, request->id);
  });
}

void Worker::Withdraw(Keep keep, bool died) {
  // Newest first: each goes to the front of the queue, so that the oldest is its first in the end.
  const RequestSlots::Snapshot snapshot = in_flight_.NewestFirst();
  for (WorkerRequest* const request : snapshot) {
    if (keep == Keep::kOldest && request == snapshot.requests[snapshot.size - 1])
      return;
    // The page is the worker's to write: what it began to answer, or what was answered for it, is
    // never another worker's, whatever the word says.
    if (request == answering_ || request->relay.exchange() == nullptr)
      continue;
    if (!process_.inbox().Withdraw(RequestSlots::SlotOf(request->id), request->id))
      continue;
    Forget(*request);
    host_.OnRequestReturned(*request, died);
  }
}

void Worker::Settle() {
  settle_wanted_ = false;
  if (interrupted_at_.has_value() && in_flight_.empty())
    Retire();
  if (state_ == WorkerState::kIdle || state_ == WorkerState::kBusy)
    host_.OnWorkerRoom(*this);
  if (!in_flight_.empty())
    return;
  if (state_ == WorkerState::kBusy)
    Enter(WorkerState::kIdle);
  else if (state_ == WorkerState::kDraining)
    SendShutdown();
}

void Worker::OnRequestClientGone(WorkerRequest& request) {
  request.relay.DropClient();
  if (process_.inbox().Withdraw(RequestSlots::SlotOf(request.id), request.id)) {
    Forget(request);
    host_.OnRequestDone(request);
    return Settle();
  }
  if (request.terms.ends_worker) {
    retiring_ = true;
    process_.End();
    return Die("worker_died", "Nobody waited for the answer.");
  }
  // It runs: it need not go on, and must not wait for bytes of a body that nobody has any more, nor
  // for credit.
  process_.inbox().MarkGone(RequestSlots::SlotOf(request.id), request.id);
  if (request.body.active()) {
    request.body.Reset();
    process_.channel().Append(FrameType::kRequestBody, kFrameEnd, request.id, {});
  }
  SendCredit(request);
}

void Worker::OnRequestWritable(WorkerRequest& request) {
  request.relay.OnWritable();
  SendCredit(request);
}

// --- The end

void Worker::Retire() {
  retiring_ = true;
  switch (state_) {
    case WorkerState::kStarting:
      boot_failure_ = FailureOf("cancelled", "The release was retired while it booted.");
      return process_.End();
    case WorkerState::kIdle:
    case WorkerState::kBusy:
      Enter(WorkerState::kDraining);
      Withdraw(Keep::kNone, false);
      if (in_flight_.empty())
        SendShutdown();
      return;
    case WorkerState::kDraining:
    case WorkerState::kDead:
      return;
  }
}

void Worker::SendShutdown() {
  if (std::exchange(shutdown_sent_, true))
    return;
  process_.channel().Append(FrameType::kShutdown, 0, 0, {});
  state_timer_.Start(env_.options.shutdown_grace, [this] {
    process_.End();
    BecomeDead();
  });
}

void Worker::OnProcessGarbage(const Error& error) {
  Violate(error);
}

void Worker::Violate(const Error& error) {
  if (state_ == WorkerState::kDead)
    return;
  violated_ = true;
  Log(LogLevel::kWarning, "worker_protocol",
      {{"worker", process_.id().number}, {"error", error.message}});
  log_.Say(kLogError,
           "The worker was ended because it broke the rules of its channel (" + error.message +
               "), which its runtime never does by itself; the request gets a 502.",
           answering_ != nullptr ? answering_->request_id : std::string_view());
  process_.End();
  if (state_ == WorkerState::kStarting)
    boot_failure_ =
        FailureOf("worker_protocol", "The worker broke the rules of its channel: " + error.message);
  else
    Die("worker_protocol", "The app's worker broke the rules of its channel.");
}

void Worker::Die(std::string_view code, std::string_view detail) {
  Withdraw(Keep::kNone, true);
  for (WorkerRequest* const request : in_flight_.NewestFirst()) {
    lost_request_ = request->request_id;
    request->relay.Fail(502, code, detail);
    Forget(*request);
    host_.OnRequestDone(*request);
  }
  BecomeDead();
}

void Worker::BecomeDead() {
  calls_.Close();
  query_.reset();
  tick_.Stop();
  state_timer_.Stop();
  Enter(WorkerState::kDead);
  host_.OnWorkerDead(*this, !retiring_);
}

void Worker::OnProcessClosed() {
  if (state_ == WorkerState::kStarting || state_ == WorkerState::kDead)
    return;
  Die("worker_died", "The app's worker ended before it answered.");
}

void Worker::OnProcessEnded(const ProcessEnd& end) {
  if (state_ == WorkerState::kStarting) {
    state_timer_.Stop();
    Enter(WorkerState::kDead);
    host_.OnWorkerBootFailed(*this, boot_failure_.has_value() ? std::move(*boot_failure_)
                                                              : BootFailureOf(end, made_with_));
  } else if (!retiring_ && !violated_) {
    log_.Say(kLogError, "The worker " + DescribeEnd(end, made_with_) + ".", lost_request_);
  }
  host_.OnWorkerGone(*this);
}

// --- Time

void Worker::ArmTick(MonotonicTime at) {
  if (at >= tick_at_)
    return;
  const bool first = !tick_made_;
  tick_made_ = true;
  tick_at_ = at;
  const Millis delay = std::max(Millis(1), std::chrono::ceil<Millis>(at - env_.clock.Now()));
  if (first)
    tick_.Start(delay, [this] { OnTick(); });
  else
    tick_.Restart(delay);
}

void Worker::OnTick() {
  tick_at_ = MonotonicTime::max();
  if (in_flight_.empty() || state_ == WorkerState::kDead)
    return;
  if (!IsInboxSound())
    return Violate(Protocol("its inbox holds what neither side writes there"));
  const MonotonicTime now = env_.clock.Now();
  const Micros running = now - running_since_;
  const WorkerRequest* const claimed = Claimed();
  if (interrupted_at_.has_value()) {
    if (now - *interrupted_at_ >= env_.options.interrupt_grace)
      return OnDidNotStop();
  } else if (claimed != nullptr && running >= WallMaxOf(*claimed)) {
    OnWallTime(now, WallMaxOf(*claimed));
  } else if (claimed == nullptr && running >= env_.options.stall_after) {
    Log(LogLevel::kWarning, "worker_stalled", {{"worker", process_.id().number}});
    Retire();
    // What it claimed just now it keeps, and has its wall time.
    if (!in_flight_.empty())
      ArmTick(now + Millis(1));
    return host_.OnWorkerRoom(*this);
  }
  if (in_flight_.size() > 1 && running >= env_.options.withdraw_after)
    WithdrawLate(claimed != nullptr, running);
  if (in_flight_.empty())
    return;
  MonotonicTime next =
      running_since_ + (claimed != nullptr ? WallMaxOf(*claimed) : env_.options.stall_after);
  if (interrupted_at_.has_value())
    next = *interrupted_at_ + env_.options.interrupt_grace;
  else if (in_flight_.size() > 1 && running < env_.options.withdraw_after)
    next = std::min(next, running_since_ + env_.options.withdraw_after);
  ArmTick(std::max(next, now + Millis(1)));
}

// Nothing moves behind a slow request: what waits there goes elsewhere. While nothing is claimed at
// all the process may just not have got the CPU yet: the oldest request stays to find out.
void Worker::WithdrawLate(bool claimed, Micros running) {
  Withdraw(claimed ? Keep::kNone : Keep::kOldest, false);
  if (claimed)
    recent_service_ = std::max(recent_service_, std::min(running, kServiceSampleMax));
  else
    probing_ = true;
  host_.OnWorkerRoom(*this);
}

void Worker::OnWallTime(MonotonicTime now, Millis wall_max) {
  interrupted_at_ = now;
  retiring_ = true;
  process_.Interrupt();
  const std::string limit = std::to_string(wall_max.count()) + " ms";
  for (WorkerRequest* const request : in_flight_.NewestFirst()) {
    if (!IsClaimed(*request))
      continue;
    log_.Say(kLogError,
             "The request took longer than " + limit +
                 ": it was interrupted (WallTimeExceeded) and the client got a 504. "
                 "Do less in a request, or raise limits.wall: under [limits] in cloister.toml, and "
                 "the operator the quota, where that is lower (for a check: its time).",
             request->request_id);
    request->relay.Fail(504, "wall_time_exceeded", "The app did not answer within " + limit + ".");
    lost_request_ = request->request_id;
  }
}

void Worker::OnDidNotStop() {
  log_.Say(kLogError,
           "The request did not stop within " +
               std::to_string(env_.options.interrupt_grace.count()) +
               " ms after it was interrupted: its worker was killed.",
           lost_request_);
  process_.End();
  Die("wall_time_exceeded", "The app did not answer in time.");
}

}  // namespace cloister
