#include <algorithm>
#include <chrono>
#include <utility>

#include "sandbox/query/postgresql/engine.h"
#include "sandbox/query/postgresql/statements.h"

namespace cloister {
namespace {

constexpr std::chrono::milliseconds kCancelAgain{1000};
// A statement that does not end though it was cancelled ends the process.
constexpr std::chrono::milliseconds kBeyond{10000};
constexpr std::chrono::milliseconds kSizePeriod{1000};
constexpr std::chrono::milliseconds kSizePeriodOfWriter{250};
constexpr std::chrono::milliseconds kSizePeriodOfReader{4000};
// Sessions whose transaction was ended for them, and which have not asked since.
constexpr std::size_t kExpiredMax = 1000;

bool IsOver(const PgJob& job) {
  return job.stop == PgStop::kResult;
}

}  // namespace

void PgEngine::Send(Slot& slot, const std::vector<const char*>& statements) {
  bool sent = true;
  for (const char* statement : statements)
    sent = sent && slot.connection->Queue(statement);
  if (!sent || !slot.connection->Sync())
    lost_ = Error{ErrorCode::kUnavailable, "the process has no memory for a statement"};
}

void PgEngine::Watch(std::vector<pollfd>& watched) const {
  for (const Slot& slot : slots_)
    watched.push_back(
        {.fd = slot.connection->fd(), .events = slot.connection->events(), .revents = 0});
  watched.push_back({.fd = spare_.fd(), .events = spare_.events(), .revents = 0});
}

Result<void> PgEngine::Turn(std::span<const pollfd> polled, SteadyTime now, QueryAnswers& answers) {
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

Result<void> PgEngine::Read(Slot& slot, QueryAnswers& answers) {
  for (;;) {
    const PgConnection::Step step = slot.connection->Next();
    if (step == PgConnection::Step::kNothing)
      return {};
    if (step == PgConnection::Step::kBroken)
      return Error{ErrorCode::kUnavailable, "the server began to copy data"};
    if (step == PgConnection::Step::kSynced) {
      EndBatch(slot, answers);
      continue;
    }
    if (step == PgConnection::Step::kFailed && slot.job == nullptr)
      return Error{ErrorCode::kUnavailable, slot.connection->error().message};
    if (slot.job != nullptr)
      TakeStep(slot, step);
  }
}

// Of a statement, or of one of ours around it.
void PgEngine::TakeStep(Slot& slot, PgConnection::Step step) {
  PgJob& job = *slot.job;
  const bool runs = slot.state == Slot::State::kRunning;
  if (step == PgConnection::Step::kRow) {
    if (runs && !job.TakeRow(*slot.connection, quota_.result_max))
      Stop(slot, PgStop::kResult, std::chrono::steady_clock::now());
    return;
  }
  if (step == PgConnection::Step::kDone && runs && job.is_in_app())
    job.TakeEnd(*slot.connection);
  if (step == PgConnection::Step::kFailed && !job.error) {
    job.error = slot.connection->error();
    job.failed_at = job.seen;
  }
  if (runs)
    ++job.seen;
}

void PgEngine::EndBatch(Slot& slot, QueryAnswers& answers) {
  if (slot.state == Slot::State::kCleaning) {
    slot.state = Slot::State::kIdle;
    slot.unclean = false;
    return;
  }
  if (slot.state == Slot::State::kRunning) {
    const std::vector<const char*> ending =
        keeps_ == Keeps::kNothing ? EndingOfCheck(slot) : EndingOf(slot);
    if (!ending.empty()) {
      slot.state = Slot::State::kEnding;
      return Send(slot, ending);
    }
  }
  Finish(slot, answers);
}

std::vector<const char*> PgEngine::EndingOf(Slot& slot) const {
  const PgJob& job = *slot.job;
  const bool undo = job.error || IsOver(job);
  if (job.began || job.wrapped) {
    if (!slot.connection->in_transaction() || (job.began && !undo))
      return {};
    return {undo ? "ROLLBACK" : "COMMIT"};
  }
  // Of a guard that could not be set nothing is left.
  if (!job.guarded || (job.error && job.failed_at == 0))
    return {};
  if (undo)
    return job.late || slot.connection->is_failed()
               ? std::vector<const char*>{pg::kUndoGuard, pg::kEndGuard}
               : std::vector<const char*>{};
  return job.late ? std::vector<const char*>{pg::kEndGuard} : std::vector<const char*>{};
}

std::vector<const char*> PgEngine::EndingOfCheck(Slot& slot) const {
  const PgJob& job = *slot.job;
  const bool undo = job.error || IsOver(job);
  if (job.ruling.effect == PgEffect::kTransaction && !job.began) {
    if (job.error)
      return {slot.savepoint ? pg::kUndoInner : pg::kUndoCheck};
    const bool undone = pg::UndoesTransaction(job) && slot.savepoint;
    if (pg::OpensTransaction(job))
      slot.savepoint = true;
    else if (pg::EndsTransaction(job) || pg::UndoesTransaction(job))
      slot.savepoint = false;
    return undone ? std::vector<const char*>{pg::kEndInner} : std::vector<const char*>{};
  }
  if (!job.began)
    return EndingOf(slot);
  slot.savepoint = !undo;
  return undo ? std::vector<const char*>{pg::kUndoInner, pg::kEndInner}
              : std::vector<const char*>{};
}

std::string PgEngine::ReplyOf(const PgJob& job, bool in_transaction) {
  const auto statement_ms = static_cast<std::uint64_t>(quota_.statement_max.count());
  if (job.stop == PgStop::kResult)
    return Refuse(job, {.count = &QueryUse::refused_result,
                        .quota = "query.result",
                        .limit = quota_.result_max.count,
                        .used = job.result_bytes});
  if (!job.error)
    return job.DoneReply(in_transaction);
  const bool cancelled = job.error->state == "57014";
  if (cancelled && job.stop == PgStop::kTime)
    return Refuse(job, {.count = &QueryUse::refused_statement,
                        .quota = "query.statement",
                        .limit = statement_ms,
                        .used = statement_ms + 1});
  if (cancelled && job.stop == PgStop::kBytes)
    return Refuse(job, {.count = &QueryUse::refused_bytes,
                        .quota = "query.bytes",
                        .limit = quota_.bytes_max.count,
                        .used = bytes_});
  return PgFailureReply(*job.error,
                        {.in_transaction = in_transaction, .flags = job.statement.flags});
}

void PgEngine::Finish(Slot& slot, QueryAnswers& answers) {
  const std::unique_ptr<PgJob> job = std::move(slot.job);
  slot.state = Slot::State::kIdle;
  slot.unclean = slot.unclean || pg::IsUnclean(*job);
  const bool has_one = HasTransaction(slot);
  if (has_one && !slot.session)
    slot.began = std::chrono::steady_clock::now();
  slot.session = has_one ? std::optional<PgSession>(job->session) : std::nullopt;
  if (job->stop != PgStop::kGone)
    answers.Answer(job->asked.link, job->asked.id, ReplyOf(*job, has_one));
  // The answer may have been to a worker that is gone.
  if (has_one && job->stop == PgStop::kGone && slot.state == Slot::State::kIdle)
    RollBack(slot);
  else if (!has_one && slot.unclean)
    Clean(slot, {});
}

void PgEngine::Clean(Slot& slot, std::vector<const char*> first) {
  slot.state = Slot::State::kCleaning;
  if (slot.unclean)
    first.insert(first.end(),
                 {"RESET ALL", "SELECT pg_catalog.pg_advisory_unlock_all()", "UNLISTEN *"});
  Send(slot, first);
}

void PgEngine::RollBack(Slot& slot) {
  slot.session.reset();
  if (keeps_ == Keeps::kAll)
    return Clean(slot, {"ROLLBACK"});
  slot.savepoint = false;
  Clean(slot, {pg::kUndoInner, pg::kEndInner});
}

void PgEngine::Forget(std::uint64_t link) {
  std::erase_if(waiting_, [link](const auto& job) { return job->asked.link == link; });
  std::erase_if(expired_, [link](const auto& each) { return each.first.first == link; });
  for (Slot& slot : slots_) {
    if (slot.job != nullptr && slot.job->asked.link == link)
      Stop(slot, PgStop::kGone, std::chrono::steady_clock::now());
    else if (slot.session && slot.session->first == link && slot.state == Slot::State::kIdle)
      RollBack(slot);
  }
}

void PgEngine::Stop(Slot& slot, PgStop why, SteadyTime now) {
  slot.job->stop = why;
  if (slot.state != Slot::State::kRunning)
    return;
  slot.cancelled = now;
  spare_.Cancel(slot.connection->pid());
}

Result<void> PgEngine::Expire(SteadyTime now) {
  for (Slot& slot : slots_) {
    if (slot.state == Slot::State::kRunning) {
      const PgStop stop = slot.job->stop;
      if (now >= slot.job->end + kBeyond)
        return Error{ErrorCode::kUnavailable, "a statement could not be stopped"};
      if (stop == PgStop::kNo && now >= slot.job->end)
        Stop(slot, PgStop::kTime, now);
      else if (stop != PgStop::kNo && now - slot.cancelled >= kCancelAgain)
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

void PgEngine::LookAtSize(SteadyTime now) {
  bool grows = false;
  for (Slot& slot : slots_) {
    if (slot.state != Slot::State::kRunning)
      continue;
    grows = grows || slot.job->ruling.effect == PgEffect::kGrows;
    if (bytes_ > quota_.bytes_max.count && slot.job->stop == PgStop::kNo && MustNotGrow(*slot.job))
      Stop(slot, PgStop::kBytes, now);
  }
  const bool is_due = wrote_ || grows || (ran_ && now >= size_at_ + kSizePeriodOfReader);
  if (!is_due || now < size_at_ || spare_.is_asking_size())
    return;
  wrote_ = ran_ = false;
  size_at_ = now + (grows ? kSizePeriodOfWriter : kSizePeriod);
  spare_.AskSize();
}

SteadyTime PgEngine::next_turn(SteadyTime now) const {
  SteadyTime next = SteadyTime::max();
  bool grows = wrote_;
  for (const Slot& slot : slots_) {
    if (slot.state == Slot::State::kRunning) {
      next = std::min(
          next, slot.job->stop == PgStop::kNo ? slot.job->end : slot.cancelled + kCancelAgain);
      grows = grows || slot.job->ruling.effect == PgEffect::kGrows;
    } else if (slot.session) {
      next = std::min(next, slot.began + quota_.transaction_max);
    }
  }
  for (const auto& job : waiting_)
    next = std::min(next, job->until);
  if (grows && !spare_.is_asking_size())
    next = std::min(next, std::max(size_at_, now));
  return next;
}

bool PgEngine::is_busy() const {
  // What was written for a check goes with the connection.
  return keeps_ == Keeps::kNothing || !waiting_.empty() ||
         std::ranges::any_of(slots_,
                             [](const Slot& slot) { return slot.session || slot.job != nullptr; });
}

QueryUse PgEngine::TakeUse(SteadyTime now) {
  QueryUse use = std::exchange(use_, {});
  use.bytes = bytes_;
  use.statements = meter_.UsedAt(now);
  use.transactions = static_cast<std::uint32_t>(
      std::ranges::count_if(slots_, [](const Slot& slot) { return slot.session.has_value(); }));
  return use;
}

}  // namespace cloister
