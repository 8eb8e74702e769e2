#pragma once

// In what one kind of SQL server differs from another, beside its protocol (connection.h).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/query/sql_server/rules.h"

namespace cloister {

struct ServerDialect {
  using Words = std::vector<std::string>;

  // The first words of a statement in upper case, as many as rulings want.
  Words (*words)(std::string_view sql);
  SqlRuling (*ruling)(const Words& words, std::string_view sql);
  // Whether it begins a transaction where the driver asks for that: it changes rows, or locks them.
  bool (*begins_transaction)(const Words& words, std::string_view sql);
  // Whether it may leave settings or locks behind on its connection.
  bool (*is_unclean)(const Words& words, std::string_view sql);
  // A statement that begins or ends a transaction or a savepoint, as the server has it.
  std::string (*control)(const Words& words, std::string_view sql);

  // A statement that fails undoes itself only, and its transaction can go on.
  bool undoes_failed = false;
  // What is queued up to a Sync outside of a transaction is done as a whole or not at all.
  bool batch_is_whole = false;
  bool text_may_have_null = false;

  std::vector<const char*> begin_exclusive;
  // Begins the transaction of a check, which is never committed.
  std::vector<const char*> begin_check;
  std::vector<const char*> clean;
  const char* nothing;  // done where there is nothing to be done: it has no rows, and no columns

  // First words of what may be run with many sets of parameters, and what others are told.
  std::vector<std::string_view> many;
  const char* many_refusal;

  // Asked on the spare connection: ends what the connection of that number runs now; and the bytes
  // of the database beyond an empty one's, as one number.
  std::string (*cancel)(std::uint64_t number);
  const char* size;
  // Rows of statements that are run first, so that the size has what was written; null: none.
  const char* stale = nullptr;
};

}  // namespace cloister
