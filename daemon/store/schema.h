#pragma once

// The tables of state.db and how an older file becomes a current one.
//
// `user_version` counts the migrations that a file has seen. Each migration is one transaction, is
// never edited once it was released, and a test opens a file of every older version. What SQL
// cannot compute is a function that runs after it, in its transaction.

#include <cstdint>
#include <span>

#include "apis/backends/sqlite.h"
#include "apis/base/result.h"

namespace cloister {

struct Migration {
  // NOLINTNEXTLINE(google-explicit-constructor): most are SQL and nothing else.
  constexpr Migration(const char* statements, Result<void> (*function)(Database&) = nullptr)
      : sql(statements), then(function) {}

  const char* sql = nullptr;
  Result<void> (*then)(Database&) = nullptr;  // null: nothing more to do
};

// Every migration, in order: the first makes version 1 of an empty file.
std::span<const Migration> Migrations();

// Brings `db` to the newest version. kInvalidArgument when the file is of a newer version than this
// program knows: it is left as it is.
Result<void> Migrate(Database& db);
// The same with other migrations, for the tests of this mechanism.
Result<void> Migrate(Database& db, std::span<const Migration> migrations);

Result<std::uint64_t> SchemaVersion(Database& db);

}  // namespace cloister
