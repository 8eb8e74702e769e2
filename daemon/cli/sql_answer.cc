#include "daemon/cli/sql_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

namespace cloister {
namespace {

using Json = nlohmann::json;

// Of bytes in a table.
constexpr std::size_t kShownBytesMax = 32;
// Columns of a terminal that a column of a table takes in each row: what is longer stands out in
// its own row, instead of making all of them as long.
constexpr std::size_t kWidthMax = 500;

Failure BadAnswer() {
  return {ExitCode::kFailed, "bad_answer", "the node's answer is none of a database", "",
          "is the node of another version than this command?"};
}

Failure FailureIn(WireReader in) {
  (void)in.U8();  // the class: for programs in Python
  const std::string_view code = in.Str16();
  const std::string_view message = in.Str32();
  if (!in.AtEnd())
    return BadAnswer();
  const bool refused = code == "sql_refused" || code == "sql_read_only";
  return {refused ? ExitCode::kRefused : ExitCode::kFailed, std::string(code), std::string(message),
          "", code == "sql_read_only" ? "open the shell with --write to change something" : ""};
}

Failure QuotaIn(WireReader in) {
  const std::string quota(in.Str16());
  const std::uint64_t limit = in.U64();
  const std::uint64_t used = in.U64();
  const std::uint32_t wait_ms = in.U32();
  if (!in.AtEnd())
    return BadAnswer();
  Failure failure{ExitCode::kRefused, "quota_exceeded",
                  fmt::format("{} allows {}, and this would be {}", quota, limit, used), "",
                  "`cloister quota set` gives the app more"};
  if (wait_ms > 0)
    failure.advice =
        fmt::format("try again in {} ms, or give the app more: `cloister quota set`", wait_ms);
  return failure;
}

std::string RealText(double real) {
  std::string text = fmt::format("{}", real);
  if (text.find_first_not_of("-0123456789") == std::string::npos)
    text += ".0";
  return text;
}

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes)
    hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view part = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j)
      bits = bits << 8 | (j < part.size() ? static_cast<unsigned char>(part[j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j)
      text += j <= part.size() ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

bool IsNumber(const QueryValue& value) {
  return value.type == QueryValueType::kInt || value.type == QueryValueType::kReal;
}

std::string CellText(const QueryValue& value) {
  switch (value.type) {
    case QueryValueType::kNull:
      return "NULL";
    case QueryValueType::kInt:
      return std::to_string(value.integer);
    case QueryValueType::kReal:
      return RealText(value.real);
    case QueryValueType::kText:
      return OneLine(value.bytes);
    case QueryValueType::kBlob:
      break;
  }
  std::string text = "x'" + Hex(value.bytes.substr(0, kShownBytesMax));
  return value.bytes.size() <= kShownBytesMax
             ? text + "'"
             : text + fmt::format("...' ({} bytes)", value.bytes.size());
}

Json JsonOf(const QueryValue& value) {
  switch (value.type) {
    case QueryValueType::kNull:
      return {};
    case QueryValueType::kInt:
      return value.integer;
    case QueryValueType::kReal:
      // JSON has no other numbers.
      return std::isfinite(value.real) ? Json(value.real) : Json(RealText(value.real));
    case QueryValueType::kText:
      return value.bytes;
    case QueryValueType::kBlob:
      break;
  }
  return {{"base64", Base64(value.bytes)}};
}

std::string CsvText(const QueryValue& value) {
  if (value.type == QueryValueType::kBlob)
    return Hex(value.bytes);
  return value.type == QueryValueType::kText ? std::string(value.bytes) : CellText(value);
}

std::string CsvField(std::string_view text) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos)
    return std::string(text);
  std::string field = "\"";
  for (const char c : text)
    field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + "\"";
}

void ShowCsv(Console& console, const SqlAnswer& answer) {
  // What is on a terminal must not steer it.
  const bool is_shown = console.bars();
  const char* const end = is_shown ? "\n" : "\r\n";
  std::string text;
  for (std::size_t i = 0; i < answer.columns().size(); ++i)
    text += (i == 0 ? "" : ",") + CsvField(answer.columns()[i]);
  text += end;
  for (std::size_t number = 0; number < answer.rows(); ++number) {
    bool first = true;
    for (const QueryValue& value : answer.row(number)) {
      text += std::exchange(first, false) ? "" : ",";
      if (value.type != QueryValueType::kNull)
        text += CsvField(CsvText(value));
    }
    text += end;
  }
  console.Raw(is_shown ? Harmless(text) : text);
}

// "id", "id_2": the members of an object have one name each.
std::vector<std::string> MemberNames(const std::vector<std::string>& columns) {
  std::vector<std::string> names;
  std::unordered_set<std::string> taken;
  std::unordered_map<std::string, int> last;  // number of that column
  for (const std::string& column : columns) {
    std::string name = column;
    int& number = last.emplace(column, 1).first->second;
    while (!taken.insert(name).second)
      name = column + "_" + std::to_string(++number);
    names.push_back(std::move(name));
  }
  return names;
}

void ShowJson(Console& console, const SqlAnswer& answer) {
  const auto dump = [](const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  std::vector<std::string> names;
  names.reserve(answer.columns().size());
  for (const std::string& name : MemberNames(answer.columns()))
    names.push_back(dump(name));
  // Member by member: an object would look for each name among all others, row by row.
  for (std::size_t number = 0; number < answer.rows(); ++number) {
    std::string row;
    for (std::size_t i = 0; i < names.size(); ++i)
      row += (i == 0 ? "{" : ",") + names[i] + ":" + dump(JsonOf(answer.row(number)[i]));
    console.Raw(row + "}\n");
  }
}

void ShowTable(Console& console, const SqlAnswer& answer) {
  const std::size_t count = answer.columns().size();
  std::vector<std::string> titles;
  titles.reserve(count);
  for (const std::string& column : answer.columns())
    titles.push_back(OneLine(column));
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> widths;
  widths.reserve(count);
  std::vector<bool> numbers(count, answer.rows() > 0);
  for (const std::string& title : titles)
    widths.push_back(std::min(Columns(title), kWidthMax));
  for (std::size_t number = 0; number < answer.rows(); ++number) {
    std::vector<std::string>& row = rows.emplace_back();
    for (std::size_t i = 0; i < count; ++i) {
      const QueryValue& value = answer.row(number)[i];
      row.push_back(CellText(value));
      widths[i] = std::max(widths[i], std::min(Columns(row.back()), kWidthMax));
      const bool is_null = value.type == QueryValueType::kNull;
      numbers[i] = numbers[i] && (is_null || IsNumber(value));
      if (is_null)
        row.back() = console.Colour(Paint::kDim, row.back());
    }
  }
  const auto line = [&](const std::vector<std::string>& row) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string room(widths[i] - std::min(widths[i], Columns(row[i])), ' ');
      text += numbers[i] ? room + row[i] : row[i] + (i + 1 < count ? room : "");
      text += i + 1 < count ? "  " : "";
    }
    return text;
  };
  console.Line(console.Colour(Paint::kBold, line(titles)));
  for (const std::vector<std::string>& row : rows)
    console.Line(line(row));
}

}  // namespace

bool SqlAnswer::SaysTransaction(std::string_view bytes) {
  return bytes.size() > 1 && bytes[1] == 1;
}

Attempt<SqlAnswer> SqlAnswer::Read(std::string bytes) {
  SqlAnswer answer(std::move(bytes));
  WireReader in(*answer.bytes_);
  const std::uint8_t status = in.U8();
  (void)in.U8();  // whether there is a transaction
  (void)in.U8();  // flags of the session
  if (!in.ok())
    return BadAnswer();
  if (status == static_cast<std::uint8_t>(QueryStatus::kFailed))
    return FailureIn(in);
  if (status == static_cast<std::uint8_t>(QueryStatus::kQuotaExceeded))
    return QuotaIn(in);
  if (status != static_cast<std::uint8_t>(QueryStatus::kDone) || !answer.ReadRows())
    return BadAnswer();
  return answer;
}

bool SqlAnswer::ReadRows() {
  constexpr std::uint64_t kNotKnown = std::numeric_limits<std::uint64_t>::max();
  WireReader in(*bytes_);
  (void)in.Take(3);
  const std::uint64_t changed = in.U64();
  if (changed != kNotKnown)
    changed_ = changed;
  (void)in.U8();
  (void)in.U64();  // the row's id
  const std::uint16_t count = in.U16();
  for (std::uint16_t i = 0; in.ok() && i < count; ++i) {
    columns_.emplace_back(in.U8() == 0 ? std::string_view() : in.Str32());
    if (in.U8() != 0)
      (void)in.Str32();
  }
  const std::uint64_t values = std::uint64_t{in.U32()} * count;
  bool sound = true;
  // Each has a byte at least: what is cut off ends it.
  for (std::uint64_t i = 0; in.ok() && sound && i < values; ++i)
    values_.push_back(QueryValue::Read(in, sound));
  return in.AtEnd() && sound;
}

void ShowRows(Console& console, const SqlAnswer& answer, SqlFormat format) {
  if (answer.columns().empty())
    return;
  switch (format) {
    case SqlFormat::kTable:
      return ShowTable(console, answer);
    case SqlFormat::kCsv:
      return ShowCsv(console, answer);
    case SqlFormat::kJson:
      return ShowJson(console, answer);
  }
}

}  // namespace cloister
