#include <algorithm>
#include <chrono>
#include <utility>

#include "sandbox/query/sql_server/engine.h"
#include "sandbox/query/sql_server/statements.h"

namespace cloister {
namespace {

constexpr std::chrono::milliseconds kCancelAgain{1000};
// A statement that does not end though it was cancelled ends the process.
constexpr std::chrono::milliseconds kBeyond{10000};
// The same of a commit, or what else ends a statement, which is not cancelled.
constexpr std::chrono::milliseconds kEndingBeyond{60000};
constexpr std::chrono::milliseconds kSizePeriod{1000};
constexpr std::chrono::milliseconds kSizePeriodOfWriter{250};
constexpr std::chrono::milliseconds kSizePeriodOfReader{4000};
// Sessions whose transaction was ended for them, and which have not asked since.
constexpr std::size_t kExpiredMax = 1000;

bool IsOver(const ServerJob& job) {
  return job.stop == StatementStop::kResult;
}

}  // namespace

void SqlServerEngine::Send(Slot& slot, const std::vector<const char*>& statements) {
  bool sent = true;
  for (const char* statement : statements)
    sent = sent && slot.connection->Queue(statement);
  if (!sent || !slot.connection->Sync())
    lost_ = Error{ErrorCode::kUnavailable, "the process has no memory for a statement"};
}

void SqlServerEngine::Watch(std::vector<pollfd>& watched) const {
  for (const Slot& slot : slots_)
    watched.push_back(
        {.fd = slot.connection->fd(), .events = slot.connection->events(), .revents = 0});
  watched.push_back({.fd = spare_.fd(), .events = spare_.events(), .revents = 0});
}

Result<void> SqlServerEngine::Turn(std::span<const pollfd> polled, SteadyTime now,
                                   QueryAnswers& answers) {
  const auto events = [polled](std::size_t index) {
    return index < polled.size() ? polled[index].revents : short{0};
  };
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (events(i) == 0)
      continue;
    TRY(slots_[i].connection->Work(events(i)));
    TRY(Read(slots_[i], answers));
  }
  TRY(spare_.Turn(events(slots_.size())));
  for (Slot& slot : slots_)
    if (slot.state == Slot::State::kStopped && !spare_.is_cancelling(slot.connection->number()))
      EndBatch(slot, answers);
  if (const auto size = spare_.TakeSize()) {
    news_ = bytes_ != *size;
    bytes_ = *size;
  }
  TRY(Expire(now));
  LookAtSize(now);
  // It may have something to ask now.
  TRY(spare_.Turn(0));
  Dispatch(now, answers);
  if (lost_)
    return *lost_;
  return {};
}

Result<void> SqlServerEngine::Read(Slot& slot, QueryAnswers& answers) {
  for (;;) {
    const ServerConnection::Step step = slot.connection->Next();
    if (step == ServerConnection::Step::kNothing)
      return {};
    if (step == ServerConnection::Step::kBroken)
      return Error{ErrorCode::kUnavailable, std::string(slot.connection->loss())};
    if (step == ServerConnection::Step::kSynced) {
      // What follows would be what the cancel ends.
      if (slot.state == Slot::State::kRunning && spare_.is_cancelling(slot.connection->number()))
        slot.state = Slot::State::kStopped;
      else
        EndBatch(slot, answers);
      continue;
    }
    if (step == ServerConnection::Step::kFailed && slot.job == nullptr)
      return Error{ErrorCode::kUnavailable, slot.connection->error().message};
    if (slot.job != nullptr)
      TakeStep(slot, step);
  }
}

// Of a statement, or of one of ours around it.
void SqlServerEngine::TakeStep(Slot& slot, ServerConnection::Step step) {
  ServerJob& job = *slot.job;
  const bool runs = slot.state == Slot::State::kRunning;
  if (step == ServerConnection::Step::kRow) {
    const bool is_wanted = runs && job.stop != StatementStop::kGone;
    if (is_wanted && !job.TakeRow(*slot.connection, quota_.result_max))
      Stop(slot, StatementStop::kResult, std::chrono::steady_clock::now());
    return;
  }
  if (step == ServerConnection::Step::kDone && runs && job.is_in_app())
    job.TakeEnd(*slot.connection);
  if (step == ServerConnection::Step::kFailed && !job.error) {
    job.error = slot.connection->error();
    job.failed_at = job.seen;
  }
  if (runs)
    ++job.seen;
}

void SqlServerEngine::EndBatch(Slot& slot, QueryAnswers& answers) {
  if (slot.state == Slot::State::kCleaning) {
    slot.state = Slot::State::kIdle;
    slot.unclean = false;
    return;
  }
  if (slot.state == Slot::State::kRunning || slot.state == Slot::State::kStopped) {
    const std::vector<const char*> ending =
        keeps_ == Keeps::kNothing ? EndingOfCheck(slot) : EndingOf(slot);
    if (!ending.empty()) {
      slot.state = Slot::State::kEnding;
      return Send(slot, ending);
    }
  }
  Finish(slot, answers);
}

std::vector<const char*> SqlServerEngine::EndingOf(Slot& slot) const {
  const ServerJob& job = *slot.job;
  const bool undo = job.error || IsOver(job);
  if (job.began || job.wrapped) {
    if (!slot.connection->in_transaction() || (job.began && !undo))
      return {};
    return {undo || IsReadOnly(job) ? "ROLLBACK" : "COMMIT"};
  }
  // Of a guard that could not be set nothing is left, nor of one whose transaction is gone.
  if (!job.guarded || (job.error && job.failed_at == 0) || !slot.connection->in_transaction())
    return {};
  if (undo)
    return job.late || job.error ? std::vector<const char*>{server::kUndoGuard, server::kEndGuard}
                                 : std::vector<const char*>{};
  return job.late ? std::vector<const char*>{server::kEndGuard} : std::vector<const char*>{};
}

std::vector<const char*> SqlServerEngine::EndingOfCheck(Slot& slot) const {
  const ServerJob& job = *slot.job;
  const bool undo = job.error || IsOver(job);
  if (job.ruling.effect == SqlEffect::kTransaction && !job.began) {
    if (job.error)
      return {slot.savepoint ? server::kUndoInner : server::kUndoCheck};
    const bool undone = UndoesTransaction(job) && slot.savepoint;
    if (OpensTransaction(job))
      slot.savepoint = true;
    else if (EndsTransaction(job) || UndoesTransaction(job))
      slot.savepoint = false;
    return undone ? std::vector<const char*>{server::kEndInner} : std::vector<const char*>{};
  }
  if (!job.began)
    return EndingOf(slot);
  slot.savepoint = !undo;
  return undo ? std::vector<const char*>{server::kUndoInner, server::kEndInner}
              : std::vector<const char*>{};
}

std::string SqlServerEngine::ReplyOf(const ServerJob& job, bool in_transaction) {
  const auto statement_ms = static_cast<std::uint64_t>(quota_.statement_max.count());
  if (job.stop == StatementStop::kResult)
    return Refuse(job, {.count = &QueryUse::refused_result,
                        .quota = "query.result",
                        .limit = quota_.result_max.count,
                        .used = job.result_bytes});
  if (!job.error)
    return job.DoneReply(in_transaction);
  if (job.error->stopped && job.stop == StatementStop::kTime)
    return Refuse(job, {.count = &QueryUse::refused_statement,
                        .quota = "query.statement",
                        .limit = statement_ms,
                        .used = statement_ms + 1});
  if (job.error->stopped && job.stop == StatementStop::kBytes)
    return Refuse(job, {.count = &QueryUse::refused_bytes,
                        .quota = "query.bytes",
                        .limit = quota_.bytes_max.count,
                        .used = bytes_});
  return EncodeQueryFailure({.in_transaction = in_transaction, .flags = job.statement.flags},
                            job.error->kind, job.error->code, job.error->message);
}

void SqlServerEngine::Finish(Slot& slot, QueryAnswers& answers) {
  const std::unique_ptr<ServerJob> job = std::move(slot.job);
  slot.state = Slot::State::kIdle;
  slot.unclean = slot.unclean || dialect_.is_unclean(job->words, job->statement.sql);
  // Whatever came next would be kept.
  if (keeps_ == Keeps::kNothing && !slot.connection->in_transaction())
    lost_ = Error{ErrorCode::kUnavailable, "the server has undone all that the check has done"};
  const bool has_one = HasTransaction(slot);
  if (has_one && !slot.session)
    slot.began = std::chrono::steady_clock::now();
  slot.session = has_one ? std::optional<ServerSession>(job->session) : std::nullopt;
  if (job->stop != StatementStop::kGone)
    answers.Answer(job->asked.link, job->asked.id, ReplyOf(*job, has_one));
  // The answer may have been to a worker that is gone.
  if (has_one && job->stop == StatementStop::kGone && slot.state == Slot::State::kIdle)
    RollBack(slot);
  else if (!has_one && slot.unclean)
    Clean(slot, {});
}

void SqlServerEngine::Clean(Slot& slot, std::vector<const char*> first) {
  slot.state = Slot::State::kCleaning;
  if (slot.unclean)
    first.insert(first.end(), dialect_.clean.begin(), dialect_.clean.end());
  Send(slot, first);
}

void SqlServerEngine::RollBack(Slot& slot) {
  slot.session.reset();
  if (keeps_ != Keeps::kNothing)
    return Clean(slot, {"ROLLBACK"});
  slot.savepoint = false;
  Clean(slot, {server::kUndoInner, server::kEndInner});
}

void SqlServerEngine::Forget(std::uint64_t link) {
  std::erase_if(waiting_, [link](const auto& job) { return job->asked.link == link; });
  std::erase_if(expired_, [link](const auto& each) { return each.first.first == link; });
  for (Slot& slot : slots_) {
    if (slot.job != nullptr && slot.job->asked.link == link)
      Stop(slot, StatementStop::kGone, std::chrono::steady_clock::now());
    else if (slot.session && slot.session->first == link && slot.state == Slot::State::kIdle)
      RollBack(slot);
  }
}

void SqlServerEngine::Stop(Slot& slot, StatementStop why, SteadyTime now) {
  slot.job->stop = why;
  if (slot.state != Slot::State::kRunning)
    return;
  slot.cancelled = now;
  spare_.Cancel(slot.connection->number());
}

Result<void> SqlServerEngine::Expire(SteadyTime now) {
  for (Slot& slot : slots_) {
    const bool is_running = slot.state == Slot::State::kRunning;
    const auto beyond = slot.state == Slot::State::kEnding ? kEndingBeyond : kBeyond;
    if (slot.job != nullptr && now >= slot.job->end + beyond)
      return Error{ErrorCode::kUnavailable, "a statement could not be stopped"};
    if (is_running) {
      const StatementStop stop = slot.job->stop;
      if (stop == StatementStop::kNo && now >= slot.job->end)
        Stop(slot, StatementStop::kTime, now);
      else if (stop != StatementStop::kNo && now - slot.cancelled >= kCancelAgain)
        Stop(slot, stop, now);
      continue;
    }
    if (slot.state != Slot::State::kIdle || !slot.session ||
        now - slot.began < quota_.transaction_max)
      continue;
    if (expired_.size() < kExpiredMax)
      expired_[*slot.session] = true;
    ++use_.refused_transaction_time;
    RollBack(slot);
  }
  return {};
}

void SqlServerEngine::LookAtSize(SteadyTime now) {
  bool grows = false;
  for (Slot& slot : slots_) {
    if (slot.state != Slot::State::kRunning)
      continue;
    grows = grows || slot.job->ruling.effect == SqlEffect::kGrows;
    if (bytes_ > quota_.bytes_max.count && slot.job->stop == StatementStop::kNo &&
        MustNotGrow(*slot.job))
      Stop(slot, StatementStop::kBytes, now);
  }
  const bool is_due = wrote_ || grows || (ran_ && now >= size_at_ + kSizePeriodOfReader);
  if (!is_due || now < size_at_ || spare_.is_asking_size())
    return;
  wrote_ = ran_ = false;
  size_at_ = now + (grows ? kSizePeriodOfWriter : kSizePeriod);
  spare_.AskSize();
}

SteadyTime SqlServerEngine::next_turn(SteadyTime now) const {
  SteadyTime next = SteadyTime::max();
  bool grows = wrote_;
  for (const Slot& slot : slots_) {
    if (slot.state == Slot::State::kRunning) {
      next = std::min(next, slot.job->stop == StatementStop::kNo ? slot.job->end
                                                                 : slot.cancelled + kCancelAgain);
      grows = grows || slot.job->ruling.effect == SqlEffect::kGrows;
    } else if (slot.state == Slot::State::kStopped) {
      next = std::min(next, slot.job->end + kBeyond);
    } else if (slot.session && slot.state == Slot::State::kIdle) {
      next = std::min(next, slot.began + quota_.transaction_max);
    }
  }
  for (const auto& job : waiting_)
    next = std::min(next, job->until);
  if (grows && !spare_.is_asking_size())
    next = std::min(next, std::max(size_at_, now));
  return next;
}

bool SqlServerEngine::is_busy() const {
  // What was written for a check goes with the process.
  return keeps_ != Keeps::kAll || !waiting_.empty() ||
         std::ranges::any_of(slots_,
                             [](const Slot& slot) { return slot.session || slot.job != nullptr; });
}

QueryUse SqlServerEngine::TakeUse(SteadyTime now) {
  QueryUse use = std::exchange(use_, {});
  use.bytes = bytes_;
  use.statements = meter_.UsedAt(now);
  use.transactions = static_cast<std::uint32_t>(
      std::ranges::count_if(slots_, [](const Slot& slot) { return slot.session.has_value(); }));
  return use;
}

}  // namespace cloister
