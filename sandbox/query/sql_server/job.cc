#include "sandbox/query/sql_server/job.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

namespace cloister {
namespace {

constexpr int kColumnsMax = 2000;

}  // namespace

void ServerJob::TakeColumns(const ServerConnection& connection) {
  if (column_count)
    return;
  const int count = statement.many ? 0 : std::min(connection.columns(), kColumnsMax);
  column_count = static_cast<std::uint16_t>(count);
  WireWriter out(columns);
  const auto append = [&out](std::string_view text, bool is_there) {
    out.U8(is_there ? 1 : 0);
    if (is_there)
      out.Str32(text);
  };
  for (int i = 0; i < count; ++i) {
    append(connection.column_name(i), true);
    const std::string_view declared = connection.declared(i);
    append(declared, !declared.empty());
  }
}

bool ServerJob::TakeRow(const ServerConnection& connection, Bytes bytes_max) {
  TakeColumns(connection);
  if (statement.many || stop == StatementStop::kResult)
    return true;
  WireWriter out(rows);
  for (int i = 0; i < *column_count; ++i)
    connection.AppendValue(out, i);
  ++row_count;
  if (!words.empty() && words.front() == "INSERT" && *column_count > 0)
    row_id = connection.integer(0);
  result_bytes = rows.size();
  if (result_bytes <= bytes_max.count)
    return true;
  rows.clear();
  return false;
}

void ServerJob::TakeEnd(const ServerConnection& connection) {
  TakeColumns(connection);
  const std::uint64_t count = connection.changed();
  if (count != std::numeric_limits<std::uint64_t>::max())
    changed = (changed == std::numeric_limits<std::uint64_t>::max() ? 0 : changed) + count;
  if (!row_id)
    row_id = connection.row_id();
}

std::optional<ServerJob::Misuse> ServerJob::ReadSets(bool text_may_have_null) {
  const auto misuse = [](QueryErrorClass kind, const char* code, std::string message) {
    return Misuse{.kind = kind, .code = code, .message = std::move(message)};
  };
  if (statement.sql.size() > kServerSqlMax)
    return misuse(QueryErrorClass::kData, "sql_error", "a statement has at most 1 MiB of SQL");
  if (statement.sql.find('\0') != std::string_view::npos)
    return misuse(QueryErrorClass::kProgramming, "sql_error",
                  "the statement contains a null character");
  if (statement.named)
    return misuse(QueryErrorClass::kProgramming, "sql_parameters",
                  "parameters that have names are numbered by the driver");
  QueryParameters parameters(statement);
  std::vector<QueryParameters::Parameter> set;
  for (std::uint32_t i = 0; i < statement.sets; ++i) {
    if (!parameters.Next(set))
      return misuse(
          QueryErrorClass::kProgramming, "sql_parameters",
          "a statement has at most " + std::to_string(kQueryParametersMax) + " parameters");
    if (!sets.empty() && sets.front().size() != set.size())
      return misuse(QueryErrorClass::kProgramming, "sql_parameters",
                    "all rows of parameters have as many values");
    ServerConnection::Set& values = sets.emplace_back();
    for (const QueryParameters::Parameter& each : set) {
      if (!text_may_have_null && each.value.type == QueryValueType::kText &&
          each.value.bytes.find('\0') != std::string_view::npos)
        return misuse(QueryErrorClass::kData, "sql_error",
                      "a text on this server has no null character");
      values.push_back(each.value);
    }
  }
  return std::nullopt;
}

std::string ServerJob::DoneReply(bool in_transaction) const {
  std::string reply;
  WireWriter out(reply);
  QueryReplyHead{
      .status = QueryStatus::kDone, .in_transaction = in_transaction, .flags = statement.flags}
      .Encode(out);
  out.U64(changed);
  out.U8(row_id ? 1 : 0);
  out.U64(static_cast<std::uint64_t>(row_id.value_or(0)));
  out.U16(column_count.value_or(0));
  out.Raw(columns);
  out.U32(row_count);
  out.Raw(rows);
  return reply;
}

}  // namespace cloister
