#pragma once

// SQLite as an engine: one statement at a time, in this process.
//
// A statement that finds the database locked waits here until a transaction has ended, so that the
// one who is to end it is heard.

#include <chrono>
#include <cstdint>
#include <deque>

#include "sandbox/query/engine.h"
#include "sandbox/query/sessions.h"

namespace cloister {

class SqliteEngine : public QueryEngine {
 public:
  explicit SqliteEngine(QuerySessions& sessions) : sessions_(sessions) {}

  void SetQuota(const QueryQuota& quota) override { sessions_.SetQuota(quota); }
  bool Execute(Asked asked, QueryAnswers& answers) override;
  bool HasTransaction(std::uint64_t link, std::uint64_t session) const override {
    return sessions_.HasTransaction(link, session);
  }
  void Forget(std::uint64_t link) override;
  Result<void> Turn(std::span<const pollfd> polled, SteadyTime now, QueryAnswers& answers) override;
  SteadyTime next_turn(SteadyTime now) const override;
  bool is_busy() const override { return sessions_.transactions() > 0 || !parked_.empty(); }
  QueryUse TakeUse(SteadyTime now) override { return sessions_.TakeUse(now); }

 private:
  struct Parked {
    Asked asked;
    SteadyTime until;
  };
  void Retry(QueryAnswers& answers);

  QuerySessions& sessions_;
  std::deque<Parked> parked_;
};

}  // namespace cloister
