#pragma once

// The statements of all workers of an app on its SQL server, whichever kind of server that is
// (dialect.h).
//
// There is a small pool of connections. A session is known here only while it has a transaction,
// which then holds one; all other statements share the rest. They run side by side: one that waits
// for another's lock stops nobody. Whatever a statement would leave behind on its connection is
// refused (the engine's sql_rules.def), or put back.
//
// Of a release that is checked there is one connection with a transaction that is never committed;
// the app's transactions are savepoints in it.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/query/engine.h"
#include "sandbox/query/sql_server/connection.h"
#include "sandbox/query/sql_server/dialect.h"
#include "sandbox/query/sql_server/job.h"
#include "sandbox/query/sql_server/spare.h"

namespace cloister {

class SqlServerEngine : public QueryEngine {
 public:
  // Of what is committed: all; nothing; all, in a copy that is gone with the process.
  enum class Keeps { kAll, kNothing, kCopy };

  // At least one connection; with kNothing only the first is used.
  SqlServerEngine(const ServerDialect& dialect, std::vector<std::unique_ptr<ServerConnection>> pool,
                  std::unique_ptr<ServerConnection> spare, Keeps keeps);

  void SetQuota(const QueryQuota& quota) override;
  bool Execute(Asked asked, QueryAnswers& answers) override;
  bool HasTransaction(std::uint64_t link, std::uint64_t session) const override {
    return HasTransaction(ServerSession{link, session});
  }
  void Forget(std::uint64_t link) override;
  void Watch(std::vector<pollfd>& watched) const override;
  Result<void> Turn(std::span<const pollfd> polled, SteadyTime now, QueryAnswers& answers) override;
  SteadyTime next_turn(SteadyTime now) const override;
  bool is_busy() const override;
  QueryUse TakeUse(SteadyTime now) override;
  bool TakeNews() override { return std::exchange(news_, false); }

 private:
  // A connection of the pool and what it is doing.
  struct Slot {
    // kStopped: its statement is over, and a cancel of it is still on its way.
    enum class State { kIdle, kRunning, kStopped, kEnding, kCleaning };

    std::unique_ptr<ServerConnection> connection;
    State state = State::kIdle;
    std::unique_ptr<ServerJob> job;
    std::optional<ServerSession> session;  // whose transaction it has
    SteadyTime began;
    bool savepoint = false;  // of the app's transaction, with kNothing
    bool unclean = false;    // something of a statement may have stayed
    SteadyTime cancelled;    // when its statement was last
  };

  // Of a statement that goes beyond a quota.
  struct Refusal {
    std::uint32_t QueryUse::* count;
    std::string_view quota;
    std::uint64_t limit = 0;
    std::uint64_t used = 0;
    std::uint32_t retry_after_ms = 0;  // 0: never
  };

  std::optional<std::string> CheckBefore(ServerJob& job, SteadyTime now);
  std::string Refuse(const ServerJob& job, const Refusal& refusal);
  std::string Fail(const ServerJob& job, QueryErrorClass kind, std::string_view code,
                   std::string_view message) const;
  // The answer to a statement that is over.
  std::string ReplyOf(const ServerJob& job, bool in_transaction);

  void Dispatch(SteadyTime now, QueryAnswers& answers);
  Slot* FindFree(const ServerJob& job);
  void Start(Slot& slot, std::unique_ptr<ServerJob> job, SteadyTime now, QueryAnswers& answers);
  bool SendAll(Slot& slot, ServerJob& job);
  // Statements of ours that come before the app's.
  std::vector<const char*> BeginningOf(const Slot& slot, ServerJob& job) const;
  std::string ControlText(const Slot& slot, const ServerJob& job) const;
  Result<void> Read(Slot& slot, QueryAnswers& answers);
  void TakeStep(Slot& slot, ServerConnection::Step step);
  void EndBatch(Slot& slot, QueryAnswers& answers);
  // What is to follow a statement: the guard's end, a commit. None: nothing.
  std::vector<const char*> EndingOf(Slot& slot) const;
  std::vector<const char*> EndingOfCheck(Slot& slot) const;
  void Finish(Slot& slot, QueryAnswers& answers);
  // Rolls back what the slot's session has open.
  void RollBack(Slot& slot);
  void Clean(Slot& slot, std::vector<const char*> first);
  bool HasTransaction(const Slot& slot) const;
  bool HasTransaction(const ServerSession& session) const;
  // Transactions that are open, or about to be.
  std::size_t CountOpen() const;
  void Stop(Slot& slot, StatementStop why, SteadyTime now);
  Result<void> Expire(SteadyTime now);
  void LookAtSize(SteadyTime now);
  bool MustNotGrow(const ServerJob& job) const;
  void Send(Slot& slot, const std::vector<const char*>& statements);

  const ServerDialect& dialect_;
  std::vector<Slot> slots_;
  ServerSpare spare_;
  Keeps keeps_;
  QueryQuota quota_;
  StatementMeter meter_;
  std::deque<std::unique_ptr<ServerJob>> waiting_;
  std::map<ServerSession, bool> expired_;  // whose next statement hears of it
  std::optional<Error> lost_;
  std::uint64_t bytes_ = 0;
  bool wrote_ = true;  // since the size was last asked for
  bool ran_ = false;   // the same, of any statement
  SteadyTime size_at_;
  bool news_ = false;
  QueryUse use_;
};

}  // namespace cloister
