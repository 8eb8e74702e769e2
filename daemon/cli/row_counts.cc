#include "daemon/cli/row_counts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <utility>

#include "daemon/cli/console.h"
#include "daemon/cli/sql_answer.h"

namespace cloister {
namespace {

constexpr std::chrono::seconds kTimeMax{5};
constexpr std::size_t kLinesMax = 20;
constexpr std::size_t kNameMax = 100;  // bytes that are shown
constexpr const char* kTables =
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
    "ESCAPE '\\' ORDER BY name LIMIT 1000";

std::string Quoted(const std::string& name) {
  std::string quoted = "\"";
  for (const char c : name)
    quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

std::optional<std::uint64_t> NumberIn(const Attempt<SqlAnswer>& answer) {
  if (!answer.ok() || answer.value().rows() != 1)
    return std::nullopt;
  const QueryValue& value = answer.value().row(0).front();
  if (value.type != QueryValueType::kInt || value.integer < 0)
    return std::nullopt;
  return static_cast<std::uint64_t>(value.integer);
}

// "1,204", "?" for one that was not counted, "-" for a table that is not there.
std::string NumberText(const RowCounts& counts, const std::string& table) {
  const auto found = counts.find(table);
  if (found == counts.end())
    return "-";
  const std::optional<std::uint64_t> count = found->second;
  if (!count)
    return "?";
  std::string text = std::to_string(*count);
  for (std::size_t at = text.size(); at > 3; at -= 3)
    text.insert(at - 3, ",");
  return text;
}

// A tenant chose it.
std::string NameText(const std::string& table) {
  return OneLine(table.size() <= kNameMax ? table : table.substr(0, kNameMax) + "...");
}

}  // namespace

Attempt<RowCounts> CountRows(AdminApi& api, const ShellClient::Target& target) {
  const auto until = std::chrono::steady_clock::now() + kTimeMax;
  ShellClient shell(api, target, nullptr);
  const SqlAnswer tables = TRY(shell.Execute(kTables));
  RowCounts counts;
  for (std::size_t i = 0; i < tables.rows(); ++i) {
    const std::string table(tables.row(i).front().bytes);
    std::optional<std::uint64_t>& count = counts[table];
    if (std::chrono::steady_clock::now() < until)
      count = NumberIn(shell.Execute("SELECT count(*) FROM " + Quoted(table)));
  }
  return counts;
}

std::vector<std::string> CompareRows(const RowCounts& now, const RowCounts& then) {
  std::set<std::string> tables;
  for (const RowCounts* each : {&now, &then})
    for (const auto& [table, count] : *each)
      tables.insert(table);
  std::vector<std::array<std::string, 3>> rows = {{"TABLE", "ROWS NOW", "IN THE SNAPSHOT"}};
  std::size_t alike = 0;
  for (const std::string& table : tables) {
    std::array<std::string, 3> row = {NameText(table), NumberText(now, table),
                                      NumberText(then, table)};
    if (row[1] == row[2] && row[1] != "?")
      ++alike;
    else
      rows.push_back(std::move(row));
  }
  const std::size_t others = rows.size() - 1;
  const std::size_t shown = std::min(others, kLinesMax);
  std::size_t width = 0;
  for (std::size_t i = 0; i <= shown; ++i)
    width = std::max(width, Columns(rows[i][0]));
  std::vector<std::string> lines;
  for (std::size_t i = 0; i <= shown && others > 0; ++i)
    lines.push_back(fmt::format("{}{}  {:>12}  {:>15}", rows[i][0],
                                std::string(width - Columns(rows[i][0]), ' '), rows[i][1],
                                rows[i][2]));
  if (others > shown)
    lines.push_back(fmt::format("and {} more", others - shown));
  if (alike > 0)
    lines.push_back(
        fmt::format("{} table{} as many rows in both", alike, alike == 1 ? " has" : "s have"));
  return lines;
}

}  // namespace cloister
