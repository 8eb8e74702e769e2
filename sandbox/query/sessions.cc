#include "sandbox/query/sessions.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include <sqlite3.h>

#include "sandbox/query/files.h"
#include "sandbox/query/overtime.h"
#include "sandbox/query/row_values.h"

namespace cloister {
namespace {

// Shared connections that are kept open.
constexpr std::size_t kIdleMax = 4;
// What the log may have beyond the database's own quota: a checkpoint needs all readers to be gone.
constexpr std::uint64_t kLogBeyond = std::uint64_t{64} << 20;
// Of a count of rows.
constexpr std::uint64_t kNotKnown = ~std::uint64_t{0};
constexpr int kPrimaryCode = 0xff;
constexpr int kBindsPerLook = 256;
// Sessions whose transaction was ended for them, and which have not asked since.
constexpr std::size_t kExpiredMax = 1000;

bool ChangesRows(std::string_view word) {
  return word == "INSERT" || word == "UPDATE" || word == "DELETE" || word == "REPLACE";
}

const char* BeginText(QueryBegin begin) {
  switch (begin) {
    case QueryBegin::kImmediate:
      return "BEGIN IMMEDIATE";
    case QueryBegin::kExclusive:
      return "BEGIN EXCLUSIVE";
    default:
      return "BEGIN";
  }
}

QueryErrorClass ClassOf(int rc) {
  switch (rc & kPrimaryCode) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return QueryErrorClass::kIntegrity;
    case SQLITE_TOOBIG:
      return QueryErrorClass::kData;
    case SQLITE_INTERNAL:
    case SQLITE_NOTFOUND:
      return QueryErrorClass::kInternal;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return QueryErrorClass::kProgramming;
    default:
      break;
  }
  return QueryErrorClass::kOperational;
}

}  // namespace

// One statement while it is served.
struct QuerySessions::Run {
  SessionId session;
  const QueryStatement& statement;
  SteadyTime now;
  std::string word;                           // the statement's first
  int socket = -1;                            // the worker's
  QueryConnection* connection = nullptr;      // borrowed or of the transaction
  std::unique_ptr<QueryConnection> borrowed;  // for this statement, unless it begins one
  bool began = false;                         // a transaction, before the statement
  bool guarded = false;                       // within a savepoint of ours
  std::string misuse = {};                    // a programming error, found while binding
  std::uint64_t result_bytes = 0;
  bool result_too_large = false;
};

// Of a statement that goes beyond a quota.
struct QuerySessions::Refusal {
  std::uint32_t QueryUse::* count;
  std::string_view quota;
  std::uint64_t limit;
  std::uint64_t used;
  std::uint32_t retry_after_ms = 0;  // 0: never
};

QuerySessions::~QuerySessions() = default;

Result<void> QuerySessions::Open() {
  std::unique_ptr<QueryConnection> first = TRY(Borrow());
  GiveBack(std::move(first));
  return {};
}

void QuerySessions::SetQuota(const QueryQuota& quota) {
  quota_ = quota;
  meter_.SetRate(quota.statements_rate);
}

QueryReplyHead QuerySessions::HeadOf(SessionId session, std::uint8_t flags) const {
  return {.status = QueryStatus::kDone,
          .in_transaction = transactions_.contains(session),
          .flags = flags};
}

std::string QuerySessions::Refuse(const Run& run, const Refusal& refusal) {
  ++(use_.*refusal.count);
  return EncodeQueryRefusal(HeadOf(run.session, run.statement.flags), refusal.quota, refusal.limit,
                            refusal.used, refusal.retry_after_ms);
}

std::string QuerySessions::Fail(Run& run, QueryErrorClass kind, std::string_view code,
                                std::string_view message) {
  return EncodeQueryFailure(HeadOf(run.session, run.statement.flags), kind, code, message);
}

std::string QuerySessions::Locked(std::uint64_t worker, const QueryStatement& statement) const {
  return EncodeQueryFailure(HeadOf({worker, statement.session}, statement.flags),
                            QueryErrorClass::kOperational, "database_locked",
                            "database is locked: another transaction has written and is not ended");
}

Result<std::unique_ptr<QueryConnection>> QuerySessions::Borrow() {
  if (idle_.empty())
    return QueryConnection::Open(path_, access_);
  std::unique_ptr<QueryConnection> connection = std::move(idle_.back());
  idle_.pop_back();
  return connection;
}

void QuerySessions::GiveBack(std::unique_ptr<QueryConnection> connection) {
  if (connection != nullptr && idle_.size() < kIdleMax && !connection->in_transaction())
    idle_.push_back(std::move(connection));
}

// Nothing: the statement may go on.
std::optional<std::string> QuerySessions::CheckBefore(Run& run) {
  if (const auto expired = expired_.find(run.session); expired != expired_.end()) {
    expired_.erase(expired);
    return Fail(run, QueryErrorClass::kOperational, "transaction_expired",
                "the transaction was open for longer than query.transaction_time and was rolled "
                "back");
  }
  const bool has_one = transactions_.contains(run.session);
  const bool wants_one = run.word == "BEGIN" || run.word == "SAVEPOINT" ||
                         (run.statement.begin != QueryBegin::kNone && ChangesRows(run.word));
  if (!has_one && wants_one && transactions_.size() >= quota_.transactions_max)
    return Refuse(run, {.count = &QueryUse::refused_transactions,
                        .quota = "query.transactions",
                        .limit = quota_.transactions_max,
                        .used = transactions_.size() + 1,
                        .retry_after_ms = 1000});
  return std::nullopt;
}

std::optional<std::string> QuerySessions::Serve(std::uint64_t worker,
                                                const QueryStatement& statement, Metered metered,
                                                SteadyTime now, int socket) {
  Run run{.session = {worker, statement.session},
          .statement = statement,
          .now = now,
          .word = FirstWord(statement.sql),
          .socket = socket,
          .borrowed = nullptr};
  if (metered == Metered::kNo) {
    if (const auto beyond = meter_.Take(statement.sets, now))
      return Refuse(run, {.count = &QueryUse::refused_statements,
                          .quota = "query.statements",
                          .limit = quota_.statements_rate,
                          .used = beyond->used,
                          .retry_after_ms = beyond->retry_after_ms});
    ++use_.served;
  }
  if (auto refused = CheckBefore(run))
    return refused;
  if (const auto found = transactions_.find(run.session); found != transactions_.end()) {
    run.connection = found->second.connection.get();
  } else {
    Result<std::unique_ptr<QueryConnection>> borrowed = Borrow();
    if (!borrowed.ok())
      return Fail(run, QueryErrorClass::kDatabase, "database_damaged", borrowed.error().message);
    run.borrowed = std::move(borrowed).value();
    run.connection = run.borrowed.get();
  }
  bool locked = false;
  std::optional<std::string> reply;
  try {
    reply = RunOn(run, locked);
  } catch (const std::bad_alloc&) {
    SetOvertime(SteadyTime::max());
    return Abandon(run);
  }
  run.connection->EndTime();
  SetOvertime(SteadyTime::max());
  Settle(run);
  if (locked)
    return std::nullopt;
  // Only now is it known whether there is a transaction.
  if (reply)
    reply->at(1) = transactions_.contains(run.session) ? 1 : 0;
  return reply;
}

// The statement needs more memory than there is, outside of SQLite: its connection is in no state
// to go on.
std::string QuerySessions::Abandon(Run& run) {
  run.borrowed.reset();
  endings_ += transactions_.erase(run.session);
  return EncodeQueryFailure(HeadOf(run.session, run.statement.flags), QueryErrorClass::kOperational,
                            "database_memory",
                            "the statement needs more memory than the database's process has; "
                            "its transaction was rolled back");
}

void QuerySessions::Settle(Run& run) {
  if (run.borrowed != nullptr) {
    if (!run.borrowed->in_transaction())
      return GiveBack(std::move(run.borrowed));
    transactions_[run.session] = {.connection = std::move(run.borrowed), .began = run.now};
    return;
  }
  const auto found = transactions_.find(run.session);
  if (found == transactions_.end() || found->second.connection->in_transaction())
    return;
  GiveBack(std::move(found->second.connection));
  transactions_.erase(found);
  ++endings_;
}

// What the statement begins before it runs. An answer: it cannot.
std::optional<std::string> QuerySessions::Begin(Run& run, bool& locked) {
  if (run.statement.begin == QueryBegin::kNone || run.connection->in_transaction() ||
      !ChangesRows(run.word))
    return std::nullopt;
  const int rc = run.connection->Run(BeginText(run.statement.begin));
  if (rc == SQLITE_OK) {
    run.began = true;
    return std::nullopt;
  }
  locked = (rc & kPrimaryCode) == SQLITE_BUSY;
  return ErrorOf(run, rc);
}

std::optional<std::string> QuerySessions::RunOn(Run& run, bool& locked) {
  QueryConnection& connection = *run.connection;
  connection.SetFlags(run.statement.flags);
  connection.SetPagesMax(std::max<std::uint64_t>(1, quota_.bytes_max.count / page_size_));
  sqlite3_set_last_insert_rowid(connection.db(), run.statement.last_row_id);
  const SteadyTime end = std::chrono::steady_clock::now() + quota_.statement_max;
  connection.BeginTime(end, run.socket);
  const std::uint64_t log_max = quota_.bytes_max.count + kLogBeyond;
  SetLogMax(log_max);
  (void)TakeWriteFailure();
  SetOvertime(end);
  const QueryConnection::Prepared prepared = connection.Prepare(run.statement.sql);
  if (prepared.rc != SQLITE_OK) {
    locked = (prepared.rc & kPrimaryCode) == SQLITE_BUSY && !connection.in_transaction();
    return ErrorOf(run, prepared.rc);
  }
  if (!IsBlank(prepared.tail))
    return Fail(run, QueryErrorClass::kProgramming, "sql_several",
                "You can only execute one statement at a time.");
  const bool writes =
      prepared.statement != nullptr && sqlite3_stmt_readonly(prepared.statement) == 0;
  const bool is_read_only = (run.statement.flags & kQueryReadOnly) != 0;
  if (writes && is_read_only && sqlite3_stmt_isexplain(prepared.statement) == 0)
    return Fail(run, QueryErrorClass::kNotSupported, "sql_read_only",
                "the session only reads, and the statement would write");
  if (writes && !connection.in_transaction() && connection.log_size() > log_max / 2)
    connection.WriteBack();
  if (auto failed = Begin(run, locked))
    return failed;
  if (prepared.statement != nullptr)
    return RunPrepared(run, prepared.statement, locked);
  std::string empty;
  WireWriter out(empty);
  HeadOf(run.session, connection.flags()).Encode(out);
  out.U64(kNotKnown);
  out.U8(0);
  out.U64(0);
  out.U16(0);
  out.U32(0);
  return empty;
}

std::string QuerySessions::RunPrepared(Run& run, sqlite3_stmt* prepared, bool& locked) {
  QueryConnection& connection = *run.connection;
  const bool writes = sqlite3_stmt_readonly(prepared) == 0;
  if (run.statement.many && (!writes || !ChangesRows(run.word)))
    return Fail(run, QueryErrorClass::kProgramming, "sql_many",
                "executemany() can only execute INSERT, UPDATE, DELETE and REPLACE.");
  const bool alone = !connection.in_transaction();
  // What is refused half-way must be gone as a whole: several rows, or rows that come back.
  const bool changes = ChangesRows(run.word) || run.word == "WITH";
  if (writes && changes && (run.statement.many || sqlite3_column_count(prepared) > 0)) {
    run.guarded = connection.Run("SAVEPOINT cloister_statement") == SQLITE_OK;
    if (!run.guarded)
      return ErrorOf(run, sqlite3_extended_errcode(connection.db()));
  }
  std::string rows;
  std::uint64_t changed = 0;
  const int rc = RunSets(run, prepared, rows, changed);
  // What follows ends it, and is not to be stopped.
  connection.EndTime();
  std::string answer;
  if (rc == SQLITE_DONE && run.misuse.empty() && !run.result_too_large)
    answer = DoneHead(run, prepared, changed);
  // The message is the statement's, which is gone with its reset.
  if (answer.empty())
    answer = ErrorOf(run, rc);
  sqlite3_reset(prepared);
  sqlite3_clear_bindings(prepared);
  EndGuard(run, alone, answer);
  const bool done = answer.front() == static_cast<char>(QueryStatus::kDone);
  const bool busy = (rc & kPrimaryCode) == SQLITE_BUSY && rc != SQLITE_BUSY_SNAPSHOT;
  if (busy && (alone || run.began)) {
    if (connection.in_transaction())
      (void)connection.Run("ROLLBACK");
    locked = true;
  } else if (!done && run.began && connection.in_transaction()) {
    // As if the statement had not been: it was the transaction's first.
    (void)connection.Run("ROLLBACK");
  }
  if (!done)
    return answer;
  // Of now: the statement may have been the PRAGMA that sets them.
  answer.at(2) = static_cast<char>(connection.flags());
  WireWriter(answer).Raw(rows);
  return answer;
}

// The answer of a statement that is done, without its rows.
std::string QuerySessions::DoneHead(const Run& run, sqlite3_stmt* prepared,
                                    std::uint64_t changed) const {
  std::string head;
  WireWriter out(head);
  HeadOf(run.session, run.statement.flags).Encode(out);
  out.U64(ChangesRows(run.word) ? changed : kNotKnown);
  const bool inserted = run.word == "INSERT" || run.word == "REPLACE";
  out.U8(inserted ? 1 : 0);
  out.U64(static_cast<std::uint64_t>(sqlite3_last_insert_rowid(run.connection->db())));
  const int shown = run.statement.many ? 0 : sqlite3_column_count(prepared);
  out.U16(static_cast<std::uint16_t>(shown));
  for (int i = 0; i < shown; ++i) {
    AppendText(out, sqlite3_column_name(prepared, i));
    AppendText(out, sqlite3_column_decltype(prepared, i));
  }
  return head;
}

void QuerySessions::EndGuard(Run& run, bool alone, std::string& answer) {
  QueryConnection& connection = *run.connection;
  if (!run.guarded || !connection.in_transaction())
    return;
  if (answer.front() != static_cast<char>(QueryStatus::kDone))
    (void)connection.Run("ROLLBACK TO cloister_statement");
  const int ended = connection.Run("RELEASE cloister_statement");
  if (ended == SQLITE_OK)
    return;
  answer = ErrorOf(run, ended);
  if (alone && !run.began)
    (void)connection.Run("ROLLBACK");
}

int QuerySessions::RunSets(Run& run, sqlite3_stmt* prepared, std::string& rows,
                           std::uint64_t& changed) {
  QueryParameters parameters(run.statement);
  std::vector<QueryParameters::Parameter> set;
  WireWriter(rows).U32(0);
  for (std::uint32_t i = 0; i < run.statement.sets; ++i) {
    if (!parameters.Next(set)) {
      run.misuse = "a statement has at most " + std::to_string(kQueryParametersMax) + " parameters";
      return SQLITE_MISUSE;
    }
    if (run.statement.named)
      std::ranges::sort(set, {}, &QueryParameters::Parameter::name);
    int rc = Bind(run, prepared, set);
    if (rc != SQLITE_OK)
      return rc;
    rc = StepAll(run, prepared, rows);
    if (rc != SQLITE_DONE)
      return rc;
    changed += static_cast<std::uint64_t>(sqlite3_changes64(run.connection->db()));
    if (i + 1 == run.statement.sets)
      break;
    sqlite3_reset(prepared);
    if (std::chrono::steady_clock::now() - run.now >= quota_.statement_max)
      return SQLITE_INTERRUPT;
  }
  return SQLITE_DONE;
}

int QuerySessions::StepAll(Run& run, sqlite3_stmt* prepared, std::string& rows) const {
  WireWriter out(rows);
  std::uint32_t count = 0;
  int rc = SQLITE_ROW;
  while ((rc = sqlite3_step(prepared)) == SQLITE_ROW) {
    if (run.statement.many)
      continue;
    // Not known before: a step may have prepared anew, after a change of the schema.
    const int columns = sqlite3_column_count(prepared);
    for (int i = 0; i < columns; ++i)
      AppendValue(out, prepared, i);
    ++count;
    if (rows.size() > quota_.result_max.count) {
      run.result_too_large = true;
      run.result_bytes = rows.size();
      return SQLITE_DONE;
    }
  }
  if (!run.statement.many)
    std::memcpy(rows.data(), &count, sizeof count);
  return rc;
}

// Of named parameters the set is in the order of their names.
int QuerySessions::Bind(Run& run, sqlite3_stmt* prepared,
                        const std::vector<QueryParameters::Parameter>& set) {
  const int wanted = sqlite3_bind_parameter_count(prepared);
  if (!run.statement.named) {
    if (set.size() != static_cast<std::size_t>(wanted)) {
      run.misuse = "Incorrect number of bindings supplied. The current statement uses " +
                   std::to_string(wanted) + ", and there are " + std::to_string(set.size()) +
                   " supplied.";
      return SQLITE_MISUSE;
    }
    for (int i = 0; i < wanted; ++i)
      if (const int rc = BindValue(prepared, i + 1, set[static_cast<std::size_t>(i)].value);
          rc != SQLITE_OK)
        return rc;
    return SQLITE_OK;
  }
  for (int i = 1; i <= wanted; ++i) {
    const char* name = sqlite3_bind_parameter_name(prepared, i);
    if (name == nullptr) {
      run.misuse = "Binding " + std::to_string(i) +
                   " has no name, but you supplied a dictionary (which has only names).";
      return SQLITE_MISUSE;
    }
    // SQLite looks for each name from the first one on.
    if (i % kBindsPerLook == 0 &&
        std::chrono::steady_clock::now() - run.now >= quota_.statement_max)
      return SQLITE_INTERRUPT;
    // Without the mark in front of it.
    const std::string_view wanted_name(name + 1);
    const auto found =
        std::ranges::lower_bound(set, wanted_name, {}, &QueryParameters::Parameter::name);
    if (found == set.end() || found->name != wanted_name) {
      run.misuse =
          std::string("You did not supply a value for binding parameter :") + (name + 1) + ".";
      return SQLITE_MISUSE;
    }
    if (const int rc = BindValue(prepared, i, found->value); rc != SQLITE_OK)
      return rc;
  }
  return SQLITE_OK;
}

std::string QuerySessions::RefuseFull(Run& run, WriteFailure why) {
  if (why == WriteFailure::kDiskFull)
    return Fail(run, QueryErrorClass::kOperational, "database_storage_full",
                "the node's disk is full: nothing was changed");
  // The log can be begun anew once the transactions that read it have ended.
  const bool log_full = why == WriteFailure::kLogFull;
  return Refuse(
      run, {.count = &QueryUse::refused_bytes,
            .quota = "query.bytes",
            .limit = quota_.bytes_max.count,
            .used = log_full ? run.connection->log_size() : quota_.bytes_max.count + page_size_,
            .retry_after_ms = log_full ? 1000U : 0U});
}

std::string QuerySessions::ErrorOf(Run& run, int rc) {
  if (!run.misuse.empty())
    return Fail(run, QueryErrorClass::kProgramming, "sql_parameters", run.misuse);
  if (run.result_too_large)
    return Refuse(run, {.count = &QueryUse::refused_result,
                        .quota = "query.result",
                        .limit = quota_.result_max.count,
                        .used = run.result_bytes});
  sqlite3* db = run.connection->db();
  const std::string message = sqlite3_errmsg(db);
  const auto statement_ms = static_cast<std::uint64_t>(quota_.statement_max.count());
  // Of a function SQLite says so with a plain error.
  const std::string& refusal = run.connection->refusal();
  if (!refusal.empty() && (rc == SQLITE_AUTH || rc == SQLITE_ERROR))
    return Fail(run, QueryErrorClass::kNotSupported, "sql_refused", refusal);
  switch (rc & kPrimaryCode) {
    case SQLITE_INTERRUPT:
      return Refuse(run, {.count = &QueryUse::refused_statement,
                          .quota = "query.statement",
                          .limit = statement_ms,
                          .used = statement_ms + 1});
    case SQLITE_FULL:
      return RefuseFull(run, TakeWriteFailure());
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Fail(run, QueryErrorClass::kOperational, "database_locked", message);
    case SQLITE_NOMEM:
      return Fail(run, QueryErrorClass::kOperational, "database_memory",
                  "the statement needs more memory than the database's process has");
    case SQLITE_IOERR:
      // A page whose sum is wrong (page_sums.h).
      if (rc != SQLITE_IOERR_DATA)
        break;
      [[fallthrough]];
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      ++use_.damaged;
      return Fail(run, QueryErrorClass::kDatabase, "database_damaged",
                  message +
                      ": a page in the app's database file is not what was written; the node's "
                      "operator has to restore it from a backup");
    default:
      break;
  }
  return Fail(run, ClassOf(rc), "sql_error", message);
}

void QuerySessions::Forget(std::uint64_t worker) {
  const auto first = transactions_.lower_bound({worker, 0});
  const auto last = transactions_.upper_bound({worker, std::numeric_limits<std::uint64_t>::max()});
  for (auto each = first; each != last; ++each) {
    (void)each->second.connection->Run("ROLLBACK");
    GiveBack(std::move(each->second.connection));
    ++endings_;
  }
  transactions_.erase(first, last);
  std::erase_if(expired_, [worker](const auto& each) { return each.first.first == worker; });
}

void QuerySessions::Expire(SteadyTime now) {
  for (auto each = transactions_.begin(); each != transactions_.end();) {
    if (now - each->second.began < quota_.transaction_max) {
      ++each;
      continue;
    }
    (void)each->second.connection->Run("ROLLBACK");
    GiveBack(std::move(each->second.connection));
    ++use_.refused_transaction_time;
    ++endings_;
    if (expired_.size() < kExpiredMax)
      expired_[each->first] = true;
    each = transactions_.erase(each);
  }
}

SteadyTime QuerySessions::next_expiry() const {
  SteadyTime next = SteadyTime::max();
  for (const auto& [session, transaction] : transactions_)
    next = std::min(next, transaction.began + quota_.transaction_max);
  return next;
}

QueryUse QuerySessions::TakeUse(SteadyTime now) {
  QueryUse use = std::exchange(use_, {});
  use.bytes = SizeOfFile(path_);
  // The log has what is not in the file yet.
  if (!idle_.empty()) {
    const QueryConnection::Prepared pages = idle_.back()->Prepare("PRAGMA page_count");
    if (pages.statement != nullptr && sqlite3_step(pages.statement) == SQLITE_ROW)
      use.bytes = static_cast<std::uint64_t>(sqlite3_column_int64(pages.statement, 0)) * page_size_;
    sqlite3_reset(pages.statement);
  }
  use.statements = meter_.UsedAt(now);
  use.transactions = static_cast<std::uint32_t>(transactions_.size());
  return use;
}

}  // namespace cloister
