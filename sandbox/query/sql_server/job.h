#pragma once

// One statement on its way through a server: what is sent for it, and what came back.
//
// A statement that fails costs itself and not its transaction, as with SQLite: where the server
// does not see to that by itself there is a savepoint of ours around it.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apis/query/packets.h"
#include "sandbox/query/engine.h"
#include "sandbox/query/sql_server/connection.h"
#include "sandbox/query/sql_server/rules.h"

namespace cloister {

// A session, by its worker and that worker's number for it.
using ServerSession = std::pair<std::uint64_t, std::uint64_t>;

// Bytes of one statement's text.
inline constexpr std::size_t kServerSqlMax = std::size_t{1} << 20;

// What stopped a statement, beside the server itself.
enum class StatementStop { kNo, kTime, kResult, kBytes, kGone };

struct ServerJob {
  QueryEngine::Asked asked;
  QueryStatement statement;  // of asked.statement
  ServerSession session;
  std::vector<ServerConnection::Set> sets;  // of parameters: views of the statement
  std::vector<std::string> words;
  SqlRuling ruling;
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
  StatementStop stop = StatementStop::kNo;
  std::optional<ServerError> error;
  std::size_t failed_at = 0;  // what was seen before it

  std::string columns;  // as in the answer
  std::optional<std::uint16_t> column_count;
  std::string rows;
  std::uint32_t row_count = 0;
  std::uint64_t result_bytes = 0;
  std::uint64_t changed = ~std::uint64_t{0};
  std::optional<std::int64_t> row_id;

  // What of the result is there now, a row or its end.
  void TakeColumns(const ServerConnection& connection);
  // False: the rows are more than `bytes_max`.
  bool TakeRow(const ServerConnection& connection, Bytes bytes_max);
  void TakeEnd(const ServerConnection& connection);
  // Whether the result read now is the app's, not that of a statement of ours.
  bool is_in_app() const { return seen >= before && seen < before + runs; }

  // What the app did wrong before the server has seen it.
  struct Misuse {
    QueryErrorClass kind = QueryErrorClass::kProgramming;
    const char* code = "";
    std::string message;
  };
  // Reads all parameters. Each set has as many values as the others.
  std::optional<Misuse> ReadSets(bool text_may_have_null);
  std::string DoneReply(bool in_transaction) const;
};

}  // namespace cloister
