#pragma once

// The commands of `cloister db shell` that are no SQL: ".tables" and its kin.

#include <string>
#include <string_view>

#include "daemon/cli/sql_reader.h"

namespace cloister {

struct DotCommand {
  enum class Kind {
    kQuit,
    kSay,    // `text`
    kQuery,  // the SQL `text`, whose rows are a table
    kTexts,  // the SQL `text`, whose rows are a text each, to be shown as it is
    kUnknown,
  };
  Kind kind = Kind::kUnknown;
  std::string text = {};
};

// Whether a line at the beginning of a statement is one.
bool IsDotCommand(std::string_view line);
DotCommand ReadDotCommand(std::string_view line, SqlDialect dialect);

}  // namespace cloister
