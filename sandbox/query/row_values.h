#pragma once

// Values of rows and parameters, between SQLite and packets (apis/query/packets.h).

#include "apis/query/packets.h"
#include "apis/wire/codec.h"

struct sqlite3_stmt;

namespace cloister {

// A column of the row at which the statement stands.
void AppendValue(WireWriter& out, sqlite3_stmt* statement, int column);
// A text that may be missing.
void AppendText(WireWriter& out, const char* text);
// A code of SQLite. The value's bytes must live until the statement is done.
int BindValue(sqlite3_stmt* statement, int number, const QueryValue& value);

}  // namespace cloister
