#pragma once

// One statement on its way through PostgreSQL: what is sent for it, and what came back.
//
// In a transaction each statement has a savepoint of ours around it, so that one that fails costs
// itself and not the transaction, as with SQLite.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apis/query/packets.h"
#include "sandbox/query/engine.h"
#include "sandbox/query/postgresql/connection.h"
#include "sandbox/query/postgresql/sql_rules.h"

namespace cloister {

// A session, by its worker and that worker's number for it.
using PgSession = std::pair<std::uint64_t, std::uint64_t>;

// What stopped a statement, beside the server itself.
enum class PgStop { kNo, kTime, kResult, kBytes, kGone };

struct PgJob {
  QueryEngine::Asked asked;
  QueryStatement statement;  // of asked.statement
  PgSession session;
  std::vector<std::string> words;
  PgRuling ruling;
  SteadyTime until;  // it has a connection by then, or is answered without
  SteadyTime end;    // it is done by then, once it has one

  bool opens = false;      // a transaction that stays open
  bool began = false;      // a transaction, for it
  bool wrapped = false;    // in a transaction of its own, of which the app knows nothing
  bool guarded = false;    // within a savepoint of ours
  bool late = false;       // that is released only once all rows are there
  std::size_t before = 0;  // statements of ours that come before the app's
  std::size_t runs = 1;    // times that the app's is run
  std::size_t seen = 0;    // statements whose end was read
  PgStop stop = PgStop::kNo;
  std::optional<PgError> error;
  std::size_t failed_at = 0;  // what was seen before it

  std::string columns;  // as in the answer
  std::optional<std::uint16_t> column_count;
  std::vector<std::uint32_t> types;
  std::string rows;
  std::uint32_t row_count = 0;
  std::uint64_t result_bytes = 0;
  std::uint64_t changed = ~std::uint64_t{0};
  std::optional<std::int64_t> row_id;

  // What of the result is there now, a row or its end.
  void TakeColumns(const PgConnection& connection);
  // False: the rows are more than `bytes_max`.
  bool TakeRow(const PgConnection& connection, Bytes bytes_max);
  void TakeEnd(const PgConnection& connection);
  // Whether the result read now is the app's, not that of a statement of ours.
  bool is_in_app() const { return seen >= before && seen < before + runs; }

  // What the app did wrong before the server has seen it.
  struct Misuse {
    QueryErrorClass kind = QueryErrorClass::kProgramming;
    const char* code = "";
    std::string message;
  };
  // Reads all parameters. Each set has as many values as the others.
  static std::optional<Misuse> ReadSets(const QueryStatement& statement,
                                        std::vector<std::vector<QueryValue>>& sets);
  std::string DoneReply(bool in_transaction) const;
};

// The failure's answer.
std::string PgFailureReply(const PgError& error, QueryReplyHead head);

}  // namespace cloister
