#pragma once

// Statements of ours around those of the app, and which of the app's are about transactions.

#include <algorithm>
#include <string_view>

#include "sandbox/query/postgresql/job.h"

namespace cloister::pg {

// Around one statement.
inline constexpr const char* kGuard = "SAVEPOINT cloister_statement";
inline constexpr const char* kUndoGuard = "ROLLBACK TO SAVEPOINT cloister_statement";
inline constexpr const char* kEndGuard = "RELEASE SAVEPOINT cloister_statement";
// The app's transaction in one that is never committed.
inline constexpr const char* kInner = "SAVEPOINT cloister_transaction";
inline constexpr const char* kUndoInner = "ROLLBACK TO SAVEPOINT cloister_transaction";
inline constexpr const char* kEndInner = "RELEASE SAVEPOINT cloister_transaction";
// Where there is nothing to be done: it has no rows, and no columns.
inline constexpr const char* kNothing = "SET LOCAL application_name = 'cloister'";
// Where such a one begins.
inline constexpr const char* kCheck = "SAVEPOINT cloister_check";
inline constexpr const char* kUndoCheck = "ROLLBACK TO SAVEPOINT cloister_check";
// The transactions of a session that only reads.
inline constexpr const char* kBeginReadOnly = "BEGIN READ ONLY";

inline bool Is(const PgJob& job, std::string_view word) {
  return !job.words.empty() && job.words.front() == word;
}

inline bool Second(const PgJob& job, std::string_view word) {
  return std::ranges::find(job.words.begin() + (job.words.empty() ? 0 : 1), job.words.end(),
                           word) != job.words.end();
}

inline bool EndsTransaction(const PgJob& job) {
  return Is(job, "COMMIT") || Is(job, "END");
}

inline bool UndoesTransaction(const PgJob& job) {
  return Is(job, "ABORT") || (Is(job, "ROLLBACK") && !Second(job, "TO"));
}

inline bool OpensTransaction(const PgJob& job) {
  return Is(job, "BEGIN") || Is(job, "START");
}

// Whether its session only reads.
inline bool IsReadOnly(const PgJob& job) {
  return (job.statement.flags & kQueryReadOnly) != 0;
}

// Whether it would have a session that only reads write: SET TRANSACTION READ WRITE.
inline bool WouldWrite(const PgJob& job) {
  return IsReadOnly(job) && Is(job, "SET") && PgMentions(job.statement.sql, "WRITE");
}

// Whether a transaction stays open behind it, when there was none before.
inline bool Opens(const PgJob& job) {
  return OpensTransaction(job) || Is(job, "SAVEPOINT") ||
         (job.statement.begin != QueryBegin::kNone &&
          PgBeginsTransaction(job.words, job.statement.sql));
}

// Whether it runs no code of the app, and takes no room.
inline bool OnlyFrees(const PgJob& job) {
  return Is(job, "DROP") || Is(job, "TRUNCATE") || Is(job, "VACUUM") || OpensTransaction(job) ||
         EndsTransaction(job) || UndoesTransaction(job);
}

// What may stay on a connection: settings and locks of a session, which a function can make.
inline bool IsUnclean(const PgJob& job) {
  return Is(job, "DO") || Is(job, "CALL") || PgMentions(job.statement.sql, "SET_CONFIG") ||
         PgMentions(job.statement.sql, "ADVISORY");
}

}  // namespace cloister::pg
