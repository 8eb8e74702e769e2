#pragma once

// PostgreSQL's values, as text, to those of the wire; and what a column is said to be.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/query/packets.h"
#include "apis/wire/codec.h"
#include "sandbox/query/sql_server/connection.h"

namespace cloister {

// Of a type's number in pg_type. Empty: the value needs nothing done by the driver.
std::string_view PgDeclared(std::uint32_t type);

bool PgIsInteger(std::uint32_t type);

// The type of a parameter; 0: the server finds out.
std::uint32_t PgTypeOf(const QueryValue& value);
// Of a place whose values are of both types, over the sets of an executemany.
std::uint32_t PgCommonType(std::uint32_t one, std::uint32_t other);

// A value that came as text. Numbers and bytes become those, the rest stays text.
void AppendPgValue(WireWriter& out, std::uint32_t type, std::string_view text);

// PEP 249's class of an SQLSTATE.
QueryErrorClass PgErrorClass(std::string_view state);

// What an app is told of an error of the server's.
ServerError PgErrorOf(std::string_view state, std::string message);

}  // namespace cloister
