#include "apis/query/packets.h"

#include <bit>

#include "apis/base/check.h"

namespace cloister {
namespace {

Error Protocol(const char* what) {
  return Error{ErrorCode::kProtocol, what};
}

// Reads over `sets` sets of parameters; false when that is not what the bytes are.
bool AreSound(WireReader in, std::uint32_t sets, bool named) {
  bool sound = true;
  for (std::uint32_t set = 0; sound && in.ok() && set < sets; ++set) {
    const std::uint32_t count = in.U32();
    for (std::uint32_t i = 0; sound && in.ok() && i < count; ++i) {
      if (named)
        (void)in.Str16();
      (void)QueryValue::Read(in, sound);
    }
  }
  return sound && in.AtEnd();
}

}  // namespace

std::string EncodeQueryPacket(const QueryPacket& packet) {
  CHECK(packet.piece.size() <= kQueryPieceMax);
  std::string bytes;
  bytes.reserve(kQueryHeaderSize + packet.piece.size());
  WireWriter out(bytes);
  out.U8(static_cast<std::uint8_t>(packet.type));
  out.U8(packet.flags);
  out.U16(0);
  out.U32(packet.epoch);
  out.U32(packet.id);
  out.Raw(packet.piece);
  return bytes;
}

Result<QueryPacket> ParseQueryPacket(std::string_view bytes) {
  WireReader in(bytes);
  const std::uint8_t type = in.U8();
  const std::uint8_t flags = in.U8();
  const std::uint16_t filler = in.U16();
  const std::uint32_t epoch = in.U32();
  const std::uint32_t id = in.U32();
  const std::string_view piece = in.Rest();
  if (!in.ok() || filler != 0 || (flags & ~kQueryMore) != 0 || piece.size() > kQueryPieceMax ||
      type < static_cast<std::uint8_t>(QueryPacketType::kStatement) ||
      type > static_cast<std::uint8_t>(QueryPacketType::kReset))
    return Protocol("a packet that is never sent");
  return QueryPacket{
      .type = QueryPacketType{type}, .flags = flags, .epoch = epoch, .id = id, .piece = piece};
}

QueryValue QueryValue::Read(WireReader& in, bool& sound) {
  QueryValue value;
  const std::uint8_t type = in.U8();
  if (type > static_cast<std::uint8_t>(QueryValueType::kBlob)) {
    sound = false;
    return value;
  }
  value.type = QueryValueType{type};
  switch (value.type) {
    case QueryValueType::kNull:
      break;
    case QueryValueType::kInt:
      value.integer = static_cast<std::int64_t>(in.U64());
      break;
    case QueryValueType::kReal:
      value.real = std::bit_cast<double>(in.U64());
      break;
    case QueryValueType::kText:
    case QueryValueType::kBlob:
      value.bytes = in.Str32();
      break;
  }
  return value;
}

Result<QueryStatement> QueryStatement::Decode(std::string_view bytes) {
  WireReader in(bytes);
  QueryStatement statement;
  statement.session = in.U64();
  const std::uint8_t begin = in.U8();
  statement.flags = in.U8();
  const std::uint8_t many = in.U8();
  statement.many = many != 0;
  statement.last_row_id = static_cast<std::int64_t>(in.U64());
  statement.sql = in.Str32();
  const std::uint8_t named = in.U8();
  statement.named = named != 0;
  statement.sets = in.U32();
  statement.parameters = in.Rest();
  const bool marks =
      begin <= static_cast<std::uint8_t>(QueryBegin::kExclusive) && many <= 1 && named <= 1 &&
      (statement.flags & ~(kQueryForeignKeys | kQueryLegacyAlterTable | kQueryReadOnly)) == 0;
  if (!in.ok() || !marks || (!statement.many && statement.sets != 1) ||
      !AreSound(WireReader(statement.parameters), statement.sets, statement.named))
    return Protocol("a malformed statement");
  statement.begin = QueryBegin{begin};
  return statement;
}

bool QueryParameters::Next(std::vector<Parameter>& set) {
  bool sound = true;
  set.clear();
  const std::uint32_t count = in_.U32();
  if (count > kQueryParametersMax)
    return false;
  for (std::uint32_t i = 0; in_.ok() && i < count; ++i) {
    const std::string_view name = named_ ? in_.Str16() : std::string_view();
    set.push_back({.name = name, .value = QueryValue::Read(in_, sound)});
  }
  return true;
}

std::string EncodeQueryFailure(QueryReplyHead head, QueryErrorClass kind, std::string_view code,
                               std::string_view message) {
  std::string bytes;
  WireWriter out(bytes);
  head.status = QueryStatus::kFailed;
  head.Encode(out);
  out.U8(static_cast<std::uint8_t>(kind));
  out.Str16(code);
  out.Str32(message);
  return bytes;
}

std::string EncodeQueryRefusal(QueryReplyHead head, std::string_view quota, std::uint64_t limit,
                               std::uint64_t used, std::uint32_t retry_after_ms) {
  std::string bytes;
  WireWriter out(bytes);
  head.status = QueryStatus::kQuotaExceeded;
  head.Encode(out);
  out.Str16(quota);
  out.U64(limit);
  out.U64(used);
  out.U32(retry_after_ms);
  return bytes;
}

std::string QueryUse::Encode() const {
  std::string encoded;
  WireWriter out(encoded);
  out.U64(bytes);
  for (const std::uint32_t number :
       {statements, transactions, served, refused_bytes, refused_statement, refused_result,
        refused_statements, refused_transactions, refused_transaction_time, damaged})
    out.U32(number);
  return encoded;
}

Result<QueryUse> QueryUse::Decode(std::string_view bytes) {
  WireReader in(bytes);
  QueryUse use;
  use.bytes = in.U64();
  for (std::uint32_t* number :
       {&use.statements, &use.transactions, &use.served, &use.refused_bytes, &use.refused_statement,
        &use.refused_result, &use.refused_statements, &use.refused_transactions,
        &use.refused_transaction_time, &use.damaged})
    *number = in.U32();
  if (!in.AtEnd())
    return Protocol("a malformed report of use");
  return use;
}

}  // namespace cloister
