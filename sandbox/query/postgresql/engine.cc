#include "sandbox/query/postgresql/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "sandbox/query/postgresql/statements.h"
#include "sandbox/query/postgresql/values.h"

namespace cloister {
namespace {

// How long a statement waits for a connection.
constexpr std::chrono::milliseconds kConnectionWait{5000};
// What a database may have beyond its quota before all but freeing is refused.
constexpr std::uint64_t kBytesBeyond = std::uint64_t{64} << 20;

SteadyTime Now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

PgEngine::PgEngine(std::vector<std::unique_ptr<PgConnection>> pool,
                   std::unique_ptr<PgConnection> spare, Keeps keeps)
    : spare_(std::move(spare)), keeps_(keeps) {
  if (keeps_ == Keeps::kNothing)
    pool.resize(1);
  for (std::unique_ptr<PgConnection>& connection : pool) {
    Slot& slot = slots_.emplace_back();
    slot.connection = std::move(connection);
  }
  if (keeps_ == Keeps::kNothing) {
    slots_.front().state = Slot::State::kCleaning;
    // What the live release has locked must not hold a check for long.
    Send(slots_.front(), {"BEGIN", "SET LOCAL lock_timeout = '3s'", pg::kCheck});
  }
}

void PgEngine::SetQuota(const QueryQuota& quota) {
  quota_ = quota;
  meter_.SetRate(quota.statements_rate);
}

std::string PgEngine::Refuse(const PgJob& job, const Refusal& refusal) {
  ++(use_.*refusal.count);
  return EncodeQueryRefusal(
      {.in_transaction = HasTransaction(job.session), .flags = job.statement.flags}, refusal.quota,
      refusal.limit, refusal.used, refusal.retry_after_ms);
}

std::string PgEngine::Fail(const PgJob& job, QueryErrorClass kind, std::string_view code,
                           std::string_view message) const {
  return EncodeQueryFailure(
      {.in_transaction = HasTransaction(job.session), .flags = job.statement.flags}, kind, code,
      message);
}

bool PgEngine::Execute(Asked asked, QueryAnswers& answers) {
  auto job = std::make_unique<PgJob>();
  job->asked = std::move(asked);
  Result<QueryStatement> decoded = QueryStatement::Decode(job->asked.statement);
  if (!decoded.ok())
    return false;
  job->statement = decoded.value();
  job->session = {job->asked.link, job->statement.session};
  job->words = PgWords(job->statement.sql, 4);
  job->ruling = PgRulingOf(job->words);
  const SteadyTime now = Now();
  if (const auto refused = CheckBefore(*job, now)) {
    answers.Answer(job->asked.link, job->asked.id, *refused);
    return true;
  }
  job->until = now + kConnectionWait + quota_.statement_max;
  waiting_.push_back(std::move(job));
  Dispatch(now, answers);
  return true;
}

// Nothing: the statement may go on.
std::optional<std::string> PgEngine::CheckBefore(PgJob& job, SteadyTime now) {
  if (const auto beyond = meter_.Take(job.statement.sets, now))
    return Refuse(job, {.count = &QueryUse::refused_statements,
                        .quota = "query.statements",
                        .limit = quota_.statements_rate,
                        .used = beyond->used,
                        .retry_after_ms = beyond->retry_after_ms});
  ++use_.served;
  if (const auto expired = expired_.find(job.session); expired != expired_.end()) {
    expired_.erase(expired);
    return Fail(job, QueryErrorClass::kOperational, "transaction_expired",
                "the transaction was open for longer than query.transaction_time and was rolled "
                "back");
  }
  if (job.ruling.refusal != nullptr)
    return Fail(job, QueryErrorClass::kNotSupported, "sql_refused", job.ruling.refusal);
  if (pg::WouldWrite(job))
    return Fail(job, QueryErrorClass::kNotSupported, "sql_read_only", "the session only reads");
  if (job.statement.many && !(pg::Is(job, "INSERT") || pg::Is(job, "UPDATE") ||
                              pg::Is(job, "DELETE") || pg::Is(job, "MERGE") || pg::Is(job, "WITH")))
    return Fail(job, QueryErrorClass::kProgramming, "sql_many",
                "executemany() can only execute INSERT, UPDATE, DELETE and MERGE.");
  if (bytes_ >= quota_.bytes_max.count && MustNotGrow(job))
    return Refuse(job, {.count = &QueryUse::refused_bytes,
                        .quota = "query.bytes",
                        .limit = quota_.bytes_max.count,
                        .used = bytes_ + 1});
  const auto waiting = std::ranges::count_if(
      waiting_, [&job](const auto& each) { return each->asked.link == job.asked.link; });
  if (waiting >= static_cast<std::ptrdiff_t>(kQueriesMax))
    return Fail(job, QueryErrorClass::kOperational, "database_locked",
                "all connections to the database are in use");
  return std::nullopt;
}

std::size_t PgEngine::CountOpen() const {
  return static_cast<std::size_t>(std::ranges::count_if(slots_, [](const Slot& slot) {
    return slot.session || (slot.job != nullptr && slot.job->opens);
  }));
}

// A function may write though the statement only reads: then its app may do less for a while.
bool PgEngine::MustNotGrow(const PgJob& job) const {
  const std::uint64_t most = quota_.bytes_max.count;
  const bool far_beyond = bytes_ > most + most / 4 + kBytesBeyond;
  return bytes_ >= most &&
         (job.ruling.effect == PgEffect::kGrows || (far_beyond && !pg::OnlyFrees(job)));
}

// Its own connection, or one that is free for it.
PgEngine::Slot* PgEngine::FindFree(const PgJob& job) {
  // One is always left for what has no transaction.
  if (job.opens && slots_.size() > 1 && CountOpen() >= slots_.size() - 1)
    return nullptr;
  Slot* free = nullptr;
  for (Slot& slot : slots_) {
    const bool is_own = slot.session == job.session;
    const bool is_free =
        slot.state == Slot::State::kIdle && !spare_.is_cancelling(slot.connection->pid());
    if (is_own)
      return is_free ? &slot : nullptr;
    if (is_free && !slot.session)
      free = &slot;
  }
  return free;
}

void PgEngine::Dispatch(SteadyTime now, QueryAnswers& answers) {
  const std::size_t count = waiting_.size();
  for (std::size_t i = 0; i < count && !waiting_.empty(); ++i) {
    std::unique_ptr<PgJob> job = std::move(waiting_.front());
    waiting_.pop_front();
    job->opens = !HasTransaction(job->session) && pg::Opens(*job);
    if (job->opens && CountOpen() >= quota_.transactions_max)
      answers.Answer(job->asked.link, job->asked.id,
                     Refuse(*job, {.count = &QueryUse::refused_transactions,
                                   .quota = "query.transactions",
                                   .limit = quota_.transactions_max,
                                   .used = CountOpen() + 1,
                                   .retry_after_ms = 1000}));
    else if (Slot* const slot = FindFree(*job)) {
      Start(*slot, std::move(job), now, answers);
    } else if (now >= job->until) {
      answers.Answer(job->asked.link, job->asked.id,
                     Fail(*job, QueryErrorClass::kOperational, "database_locked",
                          "all connections to the database are in use by transactions"));
    } else {
      waiting_.push_back(std::move(job));
    }
  }
}

bool PgEngine::HasTransaction(const PgSession& session) const {
  return std::ranges::any_of(slots_,
                             [&session](const Slot& slot) { return slot.session == session; });
}

bool PgEngine::HasTransaction(const Slot& slot) const {
  return keeps_ == Keeps::kNothing ? slot.savepoint : slot.connection->in_transaction();
}

// What is sent for a statement that begins or ends a transaction.
std::string PgEngine::ControlText(const Slot& slot, const PgJob& job) const {
  if (keeps_ == Keeps::kAll) {
    if (pg::IsReadOnly(job) && pg::OpensTransaction(job))
      return pg::kBeginReadOnly;
    // SQLite's words, which say when it takes its lock.
    const bool is_sqlite =
        pg::Is(job, "BEGIN") && (pg::Second(job, "DEFERRED") || pg::Second(job, "IMMEDIATE") ||
                                 pg::Second(job, "EXCLUSIVE"));
    return is_sqlite ? "BEGIN" : std::string(job.statement.sql);
  }
  if (pg::OpensTransaction(job))
    return slot.savepoint ? pg::kNothing : pg::kInner;
  if (pg::EndsTransaction(job) || pg::Second(job, "TRANSACTION"))
    return pg::EndsTransaction(job) && slot.savepoint ? pg::kEndInner : pg::kNothing;
  if (pg::UndoesTransaction(job))
    return slot.savepoint ? pg::kUndoInner : pg::kNothing;
  return std::string(job.statement.sql);
}

void PgEngine::Start(Slot& slot, std::unique_ptr<PgJob> job, SteadyTime now,
                     QueryAnswers& answers) {
  job->began = job->opens && !pg::OpensTransaction(*job);
  job->end = now + quota_.statement_max;
  std::vector<std::vector<QueryValue>> sets;
  if (const auto misuse = PgJob::ReadSets(job->statement, sets))
    return answers.Answer(job->asked.link, job->asked.id,
                          Fail(*job, misuse->kind, misuse->code, misuse->message));
  slot.state = Slot::State::kRunning;
  slot.job = std::move(job);
  if (!SendAll(slot, *slot.job, sets))
    lost_ = Error{ErrorCode::kUnavailable, "the process has no memory for the statement"};
  ran_ = true;
  wrote_ = wrote_ || slot.job->ruling.effect != PgEffect::kReads;
}

bool PgEngine::SendAll(Slot& slot, PgJob& job, const std::vector<std::vector<QueryValue>>& sets) {
  PgConnection& to = *slot.connection;
  if (job.ruling.effect == PgEffect::kTransaction) {
    // As with SQLite, a savepoint may be what begins a transaction.
    job.before = job.began ? 1 : 0;
    const char* begin = keeps_ == Keeps::kNothing ? pg::kInner
                        : pg::IsReadOnly(job)     ? pg::kBeginReadOnly
                                                  : "BEGIN";
    const bool begun = !job.began || to.Queue(begin);
    return begun && to.Queue(ControlText(slot, job)) && to.Sync();
  }
  const bool inside = to.in_transaction();
  const bool returns =
      job.ruling.effect != PgEffect::kReads && PgMentions(job.statement.sql, "RETURNING");
  const char* first = nullptr;
  if (job.began) {
    first = keeps_ == Keeps::kNothing                       ? pg::kInner
            : pg::IsReadOnly(job)                           ? pg::kBeginReadOnly
            : job.statement.begin == QueryBegin::kExclusive ? "BEGIN ISOLATION LEVEL SERIALIZABLE"
                                                            : "BEGIN";
  } else if (inside) {
    first = pg::kGuard;
    job.guarded = true;
    job.late = returns;
  } else if (returns || pg::IsReadOnly(job)) {
    // Rows beyond the quota are known only when the statement is done.
    first = pg::IsReadOnly(job) ? pg::kBeginReadOnly : "BEGIN";
    job.wrapped = true;
  }
  std::vector<std::uint32_t> types;
  for (const std::vector<QueryValue>& set : sets)
    for (std::size_t i = 0; i < set.size(); ++i) {
      if (i == types.size())
        types.push_back(0);
      if (set[i].type == QueryValueType::kNull)
        continue;
      const std::uint32_t type = PgTypeOf(set[i]);
      const bool is_first = types[i] == 0 && &set == &sets.front();
      types[i] = is_first ? type : PgCommonType(types[i], type);
    }
  bool sent = first == nullptr || to.Queue(first);
  job.before = (first == nullptr ? 0U : 1U) + 1U;
  job.runs = sets.size();
  sent = sent && to.Prepare(std::string(job.statement.sql), types);
  for (const std::vector<QueryValue>& set : sets)
    sent = sent && to.Execute(set);
  if (job.guarded && !job.late)
    sent = sent && to.Queue(pg::kEndGuard);
  return sent && to.Sync();
}

}  // namespace cloister
