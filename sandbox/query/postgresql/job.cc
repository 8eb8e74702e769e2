#include "sandbox/query/postgresql/job.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

#include "sandbox/query/postgresql/values.h"

namespace cloister {
namespace {

constexpr std::size_t kSqlMax = std::size_t{1} << 20;
constexpr int kColumnsMax = 2000;

const char* CodeOf(const PgError& error) {
  if (error.state == "42501")
    return "sql_refused";
  if (error.state == "08P01")
    return "sql_parameters";
  if (error.state == "42601" && error.message.find("multiple commands") != std::string::npos)
    return "sql_several";
  if (error.state == "55P03" || error.state == "40P01")
    return "database_locked";
  if (error.state == "25006")
    return "sql_read_only";
  if (error.state == "53100")
    return "database_storage_full";
  return "sql_error";
}

std::int64_t NumberOf(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

void PgJob::TakeColumns(const PgConnection& connection) {
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
    types.push_back(connection.column_type(i));
    append(connection.column_name(i), true);
    const std::string_view declared = PgDeclared(types.back());
    append(declared, !declared.empty());
  }
}

bool PgJob::TakeRow(const PgConnection& connection, Bytes bytes_max) {
  TakeColumns(connection);
  if (statement.many || stop == PgStop::kResult)
    return true;
  WireWriter out(rows);
  for (int i = 0; i < *column_count; ++i) {
    if (connection.is_null(i))
      out.U8(static_cast<std::uint8_t>(QueryValueType::kNull));
    else
      AppendPgValue(out, types[static_cast<std::size_t>(i)], connection.value(i));
  }
  ++row_count;
  const bool inserted = !words.empty() && words.front() == "INSERT" && *column_count > 0;
  if (inserted && !connection.is_null(0) && PgIsInteger(types.front()))
    row_id = NumberOf(connection.value(0));
  result_bytes = rows.size();
  if (result_bytes <= bytes_max.count)
    return true;
  rows.clear();
  return false;
}

void PgJob::TakeEnd(const PgConnection& connection) {
  TakeColumns(connection);
  const std::uint64_t count = connection.changed();
  if (count != std::numeric_limits<std::uint64_t>::max())
    changed = (changed == std::numeric_limits<std::uint64_t>::max() ? 0 : changed) + count;
}

std::optional<PgJob::Misuse> PgJob::ReadSets(const QueryStatement& statement,
                                             std::vector<std::vector<QueryValue>>& sets) {
  const auto misuse = [](QueryErrorClass kind, const char* code, std::string message) {
    return Misuse{.kind = kind, .code = code, .message = std::move(message)};
  };
  if (statement.sql.size() > kSqlMax)
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
    std::vector<QueryValue>& values = sets.emplace_back();
    for (const QueryParameters::Parameter& each : set) {
      if (each.value.type == QueryValueType::kText &&
          each.value.bytes.find('\0') != std::string_view::npos)
        return misuse(QueryErrorClass::kData, "sql_error",
                      "a text in PostgreSQL has no null character");
      values.push_back(each.value);
    }
  }
  return std::nullopt;
}

std::string PgJob::DoneReply(bool in_transaction) const {
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

std::string PgFailureReply(const PgError& error, QueryReplyHead head) {
  const char* code = CodeOf(error);
  const bool misused = error.state == "08P01";
  std::string message = error.message;
  if (error.state == "42501")
    message += ": an app's role may use what is in its own schema, and nothing of the server";
  message += " (SQLSTATE " + error.state + ")";
  return EncodeQueryFailure(
      head, misused ? QueryErrorClass::kProgramming : PgErrorClass(error.state), code, message);
}

}  // namespace cloister
