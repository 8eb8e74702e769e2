#pragma once

// The answer to one statement, as a query process gives it (apis/query/packets.h), for people and
// programs.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apis/query/packets.h"
#include "daemon/cli/console.h"
#include "daemon/cli/failure.h"

namespace cloister {

class SqlAnswer {
 public:
  // `bytes`: the whole answer. A Failure: what the database said, or bad_answer.
  static Attempt<SqlAnswer> Read(std::string bytes);

  // Whether the session has a transaction after an answer, which may be a failure; false when the
  // bytes are none.
  static bool SaysTransaction(std::string_view bytes);

  std::optional<std::uint64_t> changed() const { return changed_; }
  // Their names, as they came; none: the statement has no rows.
  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t rows() const { return columns_.empty() ? 0 : values_.size() / columns_.size(); }
  std::span<const QueryValue> row(std::size_t number) const {
    return std::span(values_).subspan(number * columns_.size(), columns_.size());
  }

 private:
  explicit SqlAnswer(std::string bytes) : bytes_(std::make_unique<std::string>(std::move(bytes))) {}
  // False: it is cut off, or what no process sends.
  bool ReadRows();

  std::unique_ptr<std::string> bytes_;  // the values lie in it
  std::optional<std::uint64_t> changed_;
  std::vector<std::string> columns_;
  std::vector<QueryValue> values_;  // row by row
};

enum class SqlFormat {
  kTable,  // aligned, under the columns' names; NULL, and x'00ff' for bytes
  kCsv,    // RFC 4180, the columns' names first; nothing for NULL, "" for an empty text
  kJson,   // an object a row and line; {"base64": ...} for bytes
};

// Its rows. Nothing for an answer without columns.
void ShowRows(Console& console, const SqlAnswer& answer, SqlFormat format);

}  // namespace cloister
