#include "sandbox/query/sqlite_engine.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace cloister {
namespace {

// As long as Python's sqlite3 waits for a lock.
constexpr std::chrono::milliseconds kLockWait{5000};
// How often it is looked for, when another process may hold it.
constexpr std::chrono::milliseconds kLockLook{10};
// Statements that one worker may have parked.
constexpr std::ptrdiff_t kParkedMax = kQueriesMax;
// Of all workers' together, in bytes.
constexpr std::size_t kParkedBytesMax = std::size_t{20} << 20;

SteadyTime Now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

bool SqliteEngine::Execute(Asked asked, QueryAnswers& answers) {
  const Result<QueryStatement> decoded = QueryStatement::Decode(asked.statement);
  if (!decoded.ok())
    return false;
  const std::optional<std::string> reply = sessions_.Serve(
      asked.link, decoded.value(), QuerySessions::Metered::kNo, Now(), asked.socket);
  if (reply) {
    answers.Answer(asked.link, asked.id, *reply);
    return true;
  }
  const auto waiting = std::ranges::count_if(
      parked_, [&asked](const Parked& each) { return each.asked.link == asked.link; });
  std::size_t bytes = asked.statement.size();
  for (const Parked& each : parked_)
    bytes += each.asked.statement.size();
  if (waiting >= kParkedMax || bytes > kParkedBytesMax) {
    answers.Answer(asked.link, asked.id, sessions_.Locked(asked.link, decoded.value()));
    return true;
  }
  parked_.push_back({.asked = std::move(asked), .until = Now() + kLockWait});
  return true;
}

void SqliteEngine::Forget(std::uint64_t link) {
  std::erase_if(parked_, [link](const Parked& each) { return each.asked.link == link; });
  sessions_.Forget(link);
}

Result<void> SqliteEngine::Turn(std::span<const pollfd> /*polled*/, SteadyTime now,
                                QueryAnswers& answers) {
  sessions_.Expire(now);
  Retry(answers);
  return {};
}

void SqliteEngine::Retry(QueryAnswers& answers) {
  const std::size_t count = parked_.size();
  for (std::size_t i = 0; i < count && !parked_.empty(); ++i) {
    Parked parked = std::move(parked_.front());
    parked_.pop_front();
    const Result<QueryStatement> decoded = QueryStatement::Decode(parked.asked.statement);
    if (!decoded.ok())
      continue;
    const std::uint64_t link = parked.asked.link;
    const SteadyTime now = Now();
    std::optional<std::string> reply = sessions_.Serve(
        link, decoded.value(), QuerySessions::Metered::kYes, now, parked.asked.socket);
    if (!reply && now < parked.until) {
      parked_.push_back(std::move(parked));
      continue;
    }
    answers.Answer(link, parked.asked.id, reply ? *reply : sessions_.Locked(link, decoded.value()));
  }
}

SteadyTime SqliteEngine::next_turn(SteadyTime now) const {
  const SteadyTime expiry = sessions_.next_expiry();
  return parked_.empty() ? expiry : std::min(expiry, now + kLockLook);
}

}  // namespace cloister
