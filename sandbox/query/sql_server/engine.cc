#include "sandbox/query/sql_server/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "sandbox/query/sql_server/statements.h"

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

SqlServerEngine::SqlServerEngine(const ServerDialect& dialect,
                                 std::vector<std::unique_ptr<ServerConnection>> pool,
                                 std::unique_ptr<ServerConnection> spare, Keeps keeps)
    : dialect_(dialect), spare_(dialect, std::move(spare)), keeps_(keeps) {
  if (keeps_ == Keeps::kNothing)
    pool.resize(1);
  for (std::unique_ptr<ServerConnection>& connection : pool) {
    Slot& slot = slots_.emplace_back();
    slot.connection = std::move(connection);
  }
  if (keeps_ == Keeps::kNothing) {
    slots_.front().state = Slot::State::kCleaning;
    std::vector<const char*> first = dialect_.begin_check;
    first.push_back(server::kCheck);
    Send(slots_.front(), first);
  }
}

void SqlServerEngine::SetQuota(const QueryQuota& quota) {
  quota_ = quota;
  meter_.SetRate(quota.statements_rate);
}

std::string SqlServerEngine::Refuse(const ServerJob& job, const Refusal& refusal) {
  ++(use_.*refusal.count);
  return EncodeQueryRefusal(
      {.in_transaction = HasTransaction(job.session), .flags = job.statement.flags}, refusal.quota,
      refusal.limit, refusal.used, refusal.retry_after_ms);
}

std::string SqlServerEngine::Fail(const ServerJob& job, QueryErrorClass kind, std::string_view code,
                                  std::string_view message) const {
  return EncodeQueryFailure(
      {.in_transaction = HasTransaction(job.session), .flags = job.statement.flags}, kind, code,
      message);
}

bool SqlServerEngine::Execute(Asked asked, QueryAnswers& answers) {
  auto job = std::make_unique<ServerJob>();
  job->asked = std::move(asked);
  Result<QueryStatement> decoded = QueryStatement::Decode(job->asked.statement);
  if (!decoded.ok())
    return false;
  job->statement = decoded.value();
  job->session = {job->asked.link, job->statement.session};
  // A longer one is not looked at: it is refused when its parameters are read.
  if (job->statement.sql.size() <= kServerSqlMax) {
    job->words = dialect_.words(job->statement.sql);
    job->ruling = dialect_.ruling(job->words, job->statement.sql);
  }
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
std::optional<std::string> SqlServerEngine::CheckBefore(ServerJob& job, SteadyTime now) {
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
  if (WouldWrite(job))
    return Fail(job, QueryErrorClass::kNotSupported, "sql_read_only",
                "the session only reads, and the statement would write");
  if (keeps_ == Keeps::kNothing && job.ruling.commits)
    return Fail(job, QueryErrorClass::kNotSupported, "sql_refused",
                "the release is only checked, and the server could not undo this statement");
  if (job.statement.many &&
      (job.words.empty() ||
       std::ranges::find(dialect_.many, job.words.front()) == dialect_.many.end()))
    return Fail(job, QueryErrorClass::kProgramming, "sql_many", dialect_.many_refusal);
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

std::size_t SqlServerEngine::CountOpen() const {
  return static_cast<std::size_t>(std::ranges::count_if(slots_, [](const Slot& slot) {
    return slot.session || (slot.job != nullptr && slot.job->opens);
  }));
}

// A function may write though the statement only reads: then its app may do less for a while.
bool SqlServerEngine::MustNotGrow(const ServerJob& job) const {
  const std::uint64_t most = quota_.bytes_max.count;
  const bool far_beyond = bytes_ > most + most / 4 + kBytesBeyond;
  return bytes_ >= most &&
         (job.ruling.effect == SqlEffect::kGrows || (far_beyond && !OnlyFrees(job)));
}

// Its own connection, or one that is free for it.
SqlServerEngine::Slot* SqlServerEngine::FindFree(const ServerJob& job) {
  // One is always left for what has no transaction.
  if (job.opens && slots_.size() > 1 && CountOpen() >= slots_.size() - 1)
    return nullptr;
  Slot* free = nullptr;
  for (Slot& slot : slots_) {
    const bool is_own = slot.session == job.session;
    const bool is_free = slot.state == Slot::State::kIdle;
    if (is_own)
      return is_free ? &slot : nullptr;
    if (is_free && !slot.session)
      free = &slot;
  }
  return free;
}

void SqlServerEngine::Dispatch(SteadyTime now, QueryAnswers& answers) {
  const std::size_t count = waiting_.size();
  for (std::size_t i = 0; i < count && !waiting_.empty(); ++i) {
    std::unique_ptr<ServerJob> job = std::move(waiting_.front());
    waiting_.pop_front();
    job->opens = !HasTransaction(job->session) && Opens(dialect_, *job);
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

bool SqlServerEngine::HasTransaction(const ServerSession& session) const {
  return std::ranges::any_of(slots_,
                             [&session](const Slot& slot) { return slot.session == session; });
}

bool SqlServerEngine::HasTransaction(const Slot& slot) const {
  return keeps_ == Keeps::kNothing ? slot.savepoint : slot.connection->in_transaction();
}

// What is sent for a statement that begins or ends a transaction.
std::string SqlServerEngine::ControlText(const Slot& slot, const ServerJob& job) const {
  if (keeps_ != Keeps::kNothing) {
    if (IsReadOnly(job) && OpensTransaction(job))
      return server::kBeginReadOnly;
    return IsReadOnly(job) && EndsTransaction(job) ? "ROLLBACK"
                                                   : dialect_.control(job.words, job.statement.sql);
  }
  if (OpensTransaction(job))
    return slot.savepoint ? dialect_.nothing : server::kInner;
  if (EndsTransaction(job) || Second(job, "TRANSACTION"))
    return EndsTransaction(job) && slot.savepoint ? server::kEndInner : dialect_.nothing;
  if (UndoesTransaction(job))
    return slot.savepoint ? server::kUndoInner : dialect_.nothing;
  return dialect_.control(job.words, job.statement.sql);
}

void SqlServerEngine::Start(Slot& slot, std::unique_ptr<ServerJob> job, SteadyTime now,
                            QueryAnswers& answers) {
  job->began = job->opens && !OpensTransaction(*job);
  job->end = now + quota_.statement_max;
  if (const auto misuse = job->ReadSets(dialect_.text_may_have_null))
    return answers.Answer(job->asked.link, job->asked.id,
                          Fail(*job, misuse->kind, misuse->code, misuse->message));
  slot.state = Slot::State::kRunning;
  slot.job = std::move(job);
  if (!SendAll(slot, *slot.job))
    lost_ = Error{ErrorCode::kUnavailable, "the process has no memory for the statement"};
  ran_ = true;
  wrote_ = wrote_ || slot.job->ruling.effect != SqlEffect::kReads;
}

bool SqlServerEngine::SendAll(Slot& slot, ServerJob& job) {
  ServerConnection& to = *slot.connection;
  const std::vector<const char*> first = BeginningOf(slot, job);
  job.before = first.size();
  for (const char* statement : first)
    if (!to.Queue(statement))
      return false;
  if (job.ruling.effect == SqlEffect::kTransaction)
    return to.Queue(ControlText(slot, job)) && to.Sync();
  // Its preparation is one.
  ++job.before;
  job.runs = job.sets.size();
  bool sent = to.Run(std::string(job.statement.sql), job.sets);
  if (job.guarded && !job.late)
    sent = sent && to.Queue(server::kEndGuard);
  return sent && to.Sync();
}

std::vector<const char*> SqlServerEngine::BeginningOf(const Slot& slot, ServerJob& job) const {
  if (job.began) {
    if (keeps_ == Keeps::kNothing)
      return {server::kInner};
    if (IsReadOnly(job))
      return {server::kBeginReadOnly};
    // As with SQLite, a savepoint may be what begins a transaction.
    return job.statement.begin == QueryBegin::kExclusive &&
                   job.ruling.effect != SqlEffect::kTransaction
               ? dialect_.begin_exclusive
               : std::vector<const char*>{"BEGIN"};
  }
  if (job.ruling.effect == SqlEffect::kTransaction)
    return {};
  // Rows beyond the quota are known only when the statement is done.
  const bool returns =
      job.ruling.effect != SqlEffect::kReads && MentionsWord(job.statement.sql, "RETURNING");
  const bool whole = job.sets.size() == 1 || dialect_.batch_is_whole;
  if (slot.connection->in_transaction()) {
    job.guarded =
        !job.ruling.commits && (returns || !dialect_.undoes_failed || job.sets.size() > 1);
    job.late = job.guarded && returns;
    return job.guarded ? std::vector<const char*>{server::kGuard} : std::vector<const char*>{};
  }
  job.wrapped = IsReadOnly(job) || (!job.ruling.commits && (returns || !whole));
  if (!job.wrapped)
    return {};
  return {IsReadOnly(job) ? server::kBeginReadOnly : "BEGIN"};
}

}  // namespace cloister
