#pragma once

// Packets between a worker and its app's query process: descriptor 4, SOCK_SEQPACKET.
//
// A packet is a header of 12 bytes, little-endian: u8 type, u8 flags, u16 zero, u32 epoch, u32 id;
// then at most kQueryPieceMax bytes. What is larger goes on in the next packet of the same id
// (kQueryMore). A packet is read whole or not at all, so a process that dies never leaves half of
// one. The epoch counts the query processes that a worker lost: what was meant for a former one is
// left out. Both sides treat the other as hostile.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/wire/codec.h"

namespace cloister {

inline constexpr std::size_t kQueryHeaderSize = 12;
inline constexpr std::size_t kQueryPacketMax = std::size_t{64} * 1024;
inline constexpr std::size_t kQueryPieceMax = kQueryPacketMax - kQueryHeaderSize;
// The most bytes of a statement with its parameters.
inline constexpr std::size_t kQueryStatementMax = (std::size_t{16} << 20) + 65536;
// The most bytes of an answer: the largest quota query.result, and what belongs to it.
inline constexpr std::size_t kQueryReplyMax = (std::size_t{64} << 20) + (std::size_t{1} << 20);
// Statements that one worker may have under way; an honest one waits before it sends more.
inline constexpr std::size_t kQueriesMax = 64;

enum class QueryPacketType : std::uint8_t {
  kStatement = 1,  // from a worker: QueryStatement
  kReply = 2,      // to a worker: QueryReplyHead and what follows
  kReset = 3,      // to a worker, from the node: text why; its process is gone, and the packet's
                   // epoch is the one from now on
};

inline constexpr std::uint8_t kQueryMore = 1;

struct QueryPacket {
  QueryPacketType type = QueryPacketType::kStatement;
  std::uint8_t flags = 0;
  std::uint32_t epoch = 0;
  std::uint32_t id = 0;
  std::string_view piece;  // valid as long as the bytes that it was parsed from
};

// A whole packet; the piece is at most kQueryPieceMax (CHECKed).
std::string EncodeQueryPacket(const QueryPacket& packet);
// kProtocol when no honest peer sends it.
Result<QueryPacket> ParseQueryPacket(std::string_view bytes);

// The parameters that a statement may have; SQLite's own number.
inline constexpr std::uint32_t kQueryParametersMax = 32766;

// How a query process serves; the number of QueryOrders.mode.
enum class QueryMode : std::uint32_t {
  kKept = 0,      // the app's database
  kCopy = 1,      // a copy of it that is thrown away: of a release that is checked
  kReadOnly = 2,  // the app's database, of a release that is checked, when it is too large to copy
  kRolledBack = 3,  // on a server: one transaction that is never committed, of one that is checked
};

// Which transaction a statement that changes rows begins when none is open.
enum class QueryBegin : std::uint8_t { kNone = 0, kDeferred = 1, kImmediate = 2, kExclusive = 3 };

// What a session has set by PRAGMA; bits.
inline constexpr std::uint8_t kQueryForeignKeys = 1;
inline constexpr std::uint8_t kQueryLegacyAlterTable = 2;
// What a session is from its first statement on: whatever would change the database is refused.
inline constexpr std::uint8_t kQueryReadOnly = 4;

enum class QueryValueType : std::uint8_t { kNull = 0, kInt = 1, kReal = 2, kText = 3, kBlob = 4 };

struct QueryValue {
  QueryValueType type = QueryValueType::kNull;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view bytes;

  static QueryValue Read(WireReader& in, bool& sound);
};

// One statement of one session, with the parameters of each time that it is to run.
struct QueryStatement {
  std::uint64_t session = 0;  // of the worker's choosing: a connection of the app's
  QueryBegin begin = QueryBegin::kNone;
  std::uint8_t flags = 0;        // kQueryForeignKeys..., kQueryReadOnly
  bool many = false;             // executemany: no rows come back
  std::int64_t last_row_id = 0;  // of the session
  std::string_view sql;          // UTF-8 without NUL: not checked here
  bool named = false;            // the parameters have names
  std::uint32_t sets = 0;        // of parameters; 1 unless it is many
  std::string_view parameters;   // all of them, sound

  // Of its encoded form: session, begin and flags.
  static constexpr std::size_t kHeadSize = 10;

  // kProtocol: truncated, bytes left over, or values that there are not.
  static Result<QueryStatement> Decode(std::string_view bytes);
};

// Reads the parameters of a QueryStatement that was decoded.
class QueryParameters {
 public:
  explicit QueryParameters(const QueryStatement& statement)
      : in_(statement.parameters), named_(statement.named) {}

  struct Parameter {
    std::string_view name;  // empty unless they have names
    QueryValue value;
  };
  // The next set, into `set`. False: it has more than kQueryParametersMax, and none is read after
  // it.
  bool Next(std::vector<Parameter>& set);

 private:
  WireReader in_;
  bool named_;
};

enum class QueryStatus : std::uint8_t { kDone = 0, kQuotaExceeded = 1, kFailed = 2 };

// PEP 249's.
enum class QueryErrorClass : std::uint8_t {
  kOperational = 0,
  kProgramming = 1,
  kIntegrity = 2,
  kData = 3,
  kNotSupported = 4,
  kInternal = 5,
  kDatabase = 6,
};

// Every answer begins so.
struct QueryReplyHead {
  QueryStatus status = QueryStatus::kDone;
  bool in_transaction = false;
  std::uint8_t flags = 0;  // of the session, from now on

  void Encode(WireWriter& out) const {
    out.U8(static_cast<std::uint8_t>(status));
    out.U8(in_transaction ? 1 : 0);
    out.U8(flags);
  }
};

// What follows kDone: u64 changed rows (all ones: not known), u8 and i64 row id of an INSERT, u16
// columns (str32 name, str32 declared type; u8 0 before a type that is none), u32 rows, their
// values row by row. kQuotaExceeded: str16 quota, u64 limit, u64 used, u32 ms until it may be (0:
// never). kFailed: u8 QueryErrorClass, str16 code, str32 message.
std::string EncodeQueryFailure(QueryReplyHead head, QueryErrorClass kind, std::string_view code,
                               std::string_view message);
std::string EncodeQueryRefusal(QueryReplyHead head, std::string_view quota, std::uint64_t limit,
                               std::uint64_t used, std::uint32_t retry_after_ms);

// What a query process tells its node, in a kQueryUse frame: of now, and since it last told.
struct QueryUse {
  std::uint64_t bytes = 0;          // of the database
  std::uint32_t statements = 0;     // of those that may come at once, used
  std::uint32_t transactions = 0;   // open
  std::uint32_t served = 0;         // statements, since
  std::uint32_t refused_bytes = 0;  // refusals of each quota, since
  std::uint32_t refused_statement = 0;
  std::uint32_t refused_result = 0;
  std::uint32_t refused_statements = 0;
  std::uint32_t refused_transactions = 0;
  std::uint32_t refused_transaction_time = 0;
  std::uint32_t damaged = 0;  // statements that met damage in the file, since

  std::string Encode() const;
  static Result<QueryUse> Decode(std::string_view bytes);
  bool operator==(const QueryUse&) const = default;
};

}  // namespace cloister
