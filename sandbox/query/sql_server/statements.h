#pragma once

// Statements of ours around those of the app, and which of the app's are about transactions.

#include <algorithm>
#include <string_view>

#include "sandbox/query/sql_server/dialect.h"
#include "sandbox/query/sql_server/job.h"

namespace cloister::server {

// Around one statement.
inline constexpr const char* kGuard = "SAVEPOINT cloister_statement";
inline constexpr const char* kUndoGuard = "ROLLBACK TO SAVEPOINT cloister_statement";
inline constexpr const char* kEndGuard = "RELEASE SAVEPOINT cloister_statement";
// The app's transaction in one that is never committed.
inline constexpr const char* kInner = "SAVEPOINT cloister_transaction";
inline constexpr const char* kUndoInner = "ROLLBACK TO SAVEPOINT cloister_transaction";
inline constexpr const char* kEndInner = "RELEASE SAVEPOINT cloister_transaction";
// Where such a one begins.
inline constexpr const char* kCheck = "SAVEPOINT cloister_check";
inline constexpr const char* kUndoCheck = "ROLLBACK TO SAVEPOINT cloister_check";
// The transactions of a session that only reads. They are never committed: a server may let some
// things be written in one (PostgreSQL up to 15: large objects).
inline constexpr const char* kBeginReadOnly = "START TRANSACTION READ ONLY";

}  // namespace cloister::server

namespace cloister {

inline bool Is(const ServerJob& job, std::string_view word) {
  return !job.words.empty() && job.words.front() == word;
}

inline bool Second(const ServerJob& job, std::string_view word) {
  return std::ranges::find(job.words.begin() + (job.words.empty() ? 0 : 1), job.words.end(),
                           word) != job.words.end();
}

inline bool EndsTransaction(const ServerJob& job) {
  return Is(job, "COMMIT") || Is(job, "END");
}

inline bool UndoesTransaction(const ServerJob& job) {
  return Is(job, "ABORT") || (Is(job, "ROLLBACK") && !Second(job, "TO"));
}

inline bool OpensTransaction(const ServerJob& job) {
  return Is(job, "BEGIN") || Is(job, "START");
}

// Whether its session only reads.
inline bool IsReadOnly(const ServerJob& job) {
  return (job.statement.flags & kQueryReadOnly) != 0;
}

// Whether it would leave the transaction of its session, which only reads, or have it write (SET
// TRANSACTION READ WRITE; SET LOCAL of a name that can be written in several ways). What else
// writes the server refuses within that transaction.
inline bool WouldWrite(const ServerJob& job) {
  const bool sets =
      Is(job, "SET") && (Second(job, "LOCAL") || MentionsWord(job.statement.sql, "WRITE"));
  return IsReadOnly(job) && (job.ruling.commits || sets);
}

// Whether a transaction stays open behind it, when there was none before.
inline bool Opens(const ServerDialect& dialect, const ServerJob& job) {
  return OpensTransaction(job) || Is(job, "SAVEPOINT") ||
         (job.statement.begin != QueryBegin::kNone &&
          dialect.begins_transaction(job.words, job.statement.sql));
}

// Whether it runs no code of the app, and takes no room.
inline bool OnlyFrees(const ServerJob& job) {
  return Is(job, "DROP") || Is(job, "TRUNCATE") || Is(job, "VACUUM") || Is(job, "OPTIMIZE") ||
         OpensTransaction(job) || EndsTransaction(job) || UndoesTransaction(job);
}

}  // namespace cloister
