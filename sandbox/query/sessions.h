#pragma once

// The statements of all workers of an app, one at a time, and the transactions that they are in.
//
// A session is a connection of the app's: it is known here only while it has a transaction, which
// then holds a QueryConnection. Everything else runs on connections that are shared. A statement
// that finds the database locked is not run at all: whoever asks keeps it and asks again.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/query/packets.h"
#include "apis/query/quota.h"
#include "sandbox/query/connection.h"
#include "sandbox/query/meter.h"

namespace cloister {

// A session, by its worker and that worker's number for it.
using SessionId = std::pair<std::uint64_t, std::uint64_t>;

class QuerySessions {
 public:
  // `path`: of the database.
  QuerySessions(const char* path, SqlAccess access) : path_(path), access_(access) {}
  QuerySessions(const QuerySessions&) = delete;
  QuerySessions& operator=(const QuerySessions&) = delete;
  ~QuerySessions();

  // Whether there is a database that can be used.
  Result<void> Open();
  void SetQuota(const QueryQuota& quota);

  // What a statement came to be counted as.
  enum class Metered { kNo, kYes };
  // The whole answer; nothing: the database is locked, ask again.
  // `socket`: the worker's; a statement is stopped when it has hung up. -1: none to look at.
  std::optional<std::string> Serve(std::uint64_t worker, const QueryStatement& statement,
                                   Metered metered, SteadyTime now, int socket = -1);
  // The answer to a statement that was asked for too long.
  std::string Locked(std::uint64_t worker, const QueryStatement& statement) const;
  bool HasTransaction(std::uint64_t worker, std::uint64_t session) const {
    return transactions_.contains({worker, session});
  }
  // Its transactions are rolled back.
  void Forget(std::uint64_t worker);
  // Rolls back what is open for too long.
  void Expire(SteadyTime now);
  // The first time that Expire has something to do; max: none.
  SteadyTime next_expiry() const;

  std::size_t transactions() const { return transactions_.size(); }
  // Changes when a transaction has ended: what was locked may not be any more.
  std::uint64_t endings() const { return endings_; }
  // Of now, and of what happened since the last call.
  QueryUse TakeUse(SteadyTime now);

 private:
  struct Transaction {
    std::unique_ptr<QueryConnection> connection;
    SteadyTime began;
  };
  struct Run;
  struct Refusal;

  QueryReplyHead HeadOf(SessionId session, std::uint8_t flags) const;
  std::string Refuse(const Run& run, const Refusal& refusal);
  std::string Abandon(Run& run);
  std::string Fail(Run& run, QueryErrorClass kind, std::string_view code, std::string_view message);
  std::optional<std::string> CheckBefore(Run& run);
  Result<std::unique_ptr<QueryConnection>> Borrow();
  void GiveBack(std::unique_ptr<QueryConnection> connection);
  std::optional<std::string> Begin(Run& run, bool& locked);
  std::optional<std::string> RunOn(Run& run, bool& locked);
  std::string RunPrepared(Run& run, sqlite3_stmt* prepared, bool& locked);
  std::string DoneHead(const Run& run, sqlite3_stmt* prepared, std::uint64_t changed) const;
  // What was guarded is kept, or gone, as a whole.
  void EndGuard(Run& run, bool alone, std::string& answer);
  int RunSets(Run& run, sqlite3_stmt* prepared, std::string& rows, std::uint64_t& changed);
  int StepAll(Run& run, sqlite3_stmt* prepared, std::string& rows) const;
  int Bind(Run& run, sqlite3_stmt* prepared, const std::vector<QueryParameters::Parameter>& set);
  std::string RefuseFull(Run& run, WriteFailure why);
  std::string ErrorOf(Run& run, int rc);
  // After a statement: a session has a transaction now, or none any more.
  void Settle(Run& run);

  const char* path_;
  SqlAccess access_;
  QueryQuota quota_;
  StatementMeter meter_;
  std::map<SessionId, Transaction> transactions_;
  std::map<SessionId, bool> expired_;  // whose next statement hears of it
  std::vector<std::unique_ptr<QueryConnection>> idle_;
  std::uint64_t endings_ = 0;
  QueryUse use_;
  std::uint64_t page_size_ = 4096;
};

}  // namespace cloister
