#include "sandbox/query/row_values.h"

#include <bit>
#include <cstdint>
#include <string_view>

#include <sqlite3.h>

namespace cloister {

void AppendValue(WireWriter& out, sqlite3_stmt* statement, int column) {
  const int type = sqlite3_column_type(statement, column);
  switch (type) {
    case SQLITE_INTEGER:
      out.U8(static_cast<std::uint8_t>(QueryValueType::kInt));
      return out.U64(static_cast<std::uint64_t>(sqlite3_column_int64(statement, column)));
    case SQLITE_FLOAT:
      out.U8(static_cast<std::uint8_t>(QueryValueType::kReal));
      return out.U64(std::bit_cast<std::uint64_t>(sqlite3_column_double(statement, column)));
    case SQLITE_NULL:
      return out.U8(static_cast<std::uint8_t>(QueryValueType::kNull));
    default:
      break;
  }
  const bool is_text = type == SQLITE_TEXT;
  const void* data =
      is_text ? sqlite3_column_text(statement, column) : sqlite3_column_blob(statement, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
  out.U8(static_cast<std::uint8_t>(is_text ? QueryValueType::kText : QueryValueType::kBlob));
  out.Str32(data == nullptr ? std::string_view()
                            : std::string_view(static_cast<const char*>(data), size));
}

void AppendText(WireWriter& out, const char* text) {
  out.U8(text == nullptr ? 0 : 1);
  if (text != nullptr)
    out.Str32(text);
}

int BindValue(sqlite3_stmt* statement, int number, const QueryValue& value) {
  // Valid until the statement is done; a null pointer would be bound as NULL.
  const char* data = value.bytes.empty() ? "" : value.bytes.data();
  switch (value.type) {
    case QueryValueType::kInt:
      return sqlite3_bind_int64(statement, number, value.integer);
    case QueryValueType::kReal:
      return sqlite3_bind_double(statement, number, value.real);
    case QueryValueType::kText:
      return sqlite3_bind_text64(statement, number, data, value.bytes.size(), SQLITE_STATIC,
                                 SQLITE_UTF8);
    case QueryValueType::kBlob:
      return sqlite3_bind_blob64(statement, number, data, value.bytes.size(), SQLITE_STATIC);
    default:
      return sqlite3_bind_null(statement, number);
  }
}

}  // namespace cloister
