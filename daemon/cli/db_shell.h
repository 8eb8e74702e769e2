#pragma once

// `cloister db shell`: SQL on an app's database, typed or from a script.
//
// It only reads unless it is told otherwise: what is typed at a prompt meets the data of a live
// app.

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

struct DbShellWish {
  std::string app;
  std::string command;       // the SQL; empty: what stdin has
  bool has_command = false;  // it may be empty
  bool write = false;
  std::optional<std::uint64_t> snapshot = {};  // to read that, not the database
  bool csv = false;
};

Attempt<void> RunDbShell(AdminApi& api, Console& console, const DbShellWish& wish);

}  // namespace cloister
