#pragma once

// MariaDB's columns and values to those of the wire, and its errors.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/query/packets.h"
#include "apis/wire/codec.h"
#include "sandbox/query/sql_server/connection.h"

namespace cloister {

// How a column's values are read and passed on.
enum class MyKind : std::uint8_t { kInt, kBigUnsigned, kReal, kText, kBytes, kBits };

struct MyColumn {
  MyKind kind = MyKind::kText;
  std::string_view declared;  // for the driver; empty: its values need nothing done
};

// `type`: of the protocol (enum_field_types); `binary`: its character set is none.
MyColumn MyColumnOf(int type, bool is_unsigned, bool binary);

// A value that came as bytes: of kText, kBytes and kBits.
void AppendMyBytes(WireWriter& out, MyKind kind, std::string_view bytes);
// The same of kInt and kBigUnsigned.
void AppendMyInt(WireWriter& out, MyKind kind, std::int64_t number);

// PEP 249's class of an error of the server's, by its number and SQLSTATE.
QueryErrorClass MyErrorClass(unsigned number, std::string_view state);

// What an app is told of it. `database`: the name of the app's, which says nothing to it.
ServerError MyErrorOf(unsigned number, std::string_view state, std::string message,
                      std::string_view database);

// Whether the connection is of no use any more.
bool IsMyLoss(unsigned number);

}  // namespace cloister
