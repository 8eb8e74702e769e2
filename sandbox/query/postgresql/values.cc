#include "sandbox/query/postgresql/values.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

namespace cloister {
namespace {

// Of pg_type, where they are fixed.
enum PgType : std::uint32_t {
  kBool = 16,
  kBytes = 17,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kOid = 26,
  kFloat4 = 700,
  kFloat8 = 701,
  kDate = 1082,
  kTime = 1083,
  kTimestamp = 1114,
  kTimestampTz = 1184,
  kInterval = 1186,
  kTimeTz = 1266,
  kNumeric = 1700,
  kUuid = 2950,
  kBoolArray = 1000,
  kBytesArray = 1001,
  kCharArray = 1002,
  kNameArray = 1003,
  kInt2Array = 1005,
  kInt4Array = 1007,
  kTextArray = 1009,
  kBpcharArray = 1014,
  kVarcharArray = 1015,
  kInt8Array = 1016,
  kFloat4Array = 1021,
  kFloat8Array = 1022,
  kOidArray = 1028,
  kTimestampArray = 1115,
  kDateArray = 1182,
  kTimeArray = 1183,
  kTimestampTzArray = 1185,
  kIntervalArray = 1187,
  kNumericArray = 1231,
  kTimeTzArray = 1270,
  kUuidArray = 2951,
};

bool IsInt(std::uint32_t type) {
  return type == kInt4 || type == kInt8;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

std::string BytesOf(std::string_view text) {
  std::string bytes;
  // "\x", then two digits for each.
  text.remove_prefix(std::min<std::size_t>(2, text.size()));
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes += static_cast<char>(HexDigit(text[i]) << 4 | HexDigit(text[i + 1]));
  return bytes;
}

void AppendInt(WireWriter& out, std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  out.U8(static_cast<std::uint8_t>(QueryValueType::kInt));
  out.U64(static_cast<std::uint64_t>(number));
}

void AppendReal(WireWriter& out, std::string_view text) {
  out.U8(static_cast<std::uint8_t>(QueryValueType::kReal));
  // It knows "Infinity" and "NaN", too.
  out.U64(std::bit_cast<std::uint64_t>(std::strtod(std::string(text).c_str(), nullptr)));
}

// Arrays of other types stay text.
std::string_view DeclaredArray(std::uint32_t type) {
  switch (type) {
    case kBoolArray:
      return "bool[]";
    case kBytesArray:
      return "bytes[]";
    case kInt2Array:
    case kInt4Array:
    case kInt8Array:
    case kOidArray:
      return "int[]";
    case kFloat4Array:
    case kFloat8Array:
      return "real[]";
    case kCharArray:
    case kNameArray:
    case kTextArray:
    case kBpcharArray:
    case kVarcharArray:
      return "text[]";
    case kDateArray:
      return "date[]";
    case kTimeArray:
    case kTimeTzArray:
      return "time[]";
    case kTimestampArray:
      return "timestamp[]";
    case kTimestampTzArray:
      return "timestamptz[]";
    case kIntervalArray:
      return "interval[]";
    case kNumericArray:
      return "numeric[]";
    case kUuidArray:
      return "uuid[]";
    default:
      return {};
  }
}

const char* CodeOf(std::string_view state, const std::string& message) {
  if (state == "42501")
    return "sql_refused";
  if (state == "08P01")
    return "sql_parameters";
  if (state == "42601" && message.find("multiple commands") != std::string::npos)
    return "sql_several";
  if (state == "55P03" || state == "40P01")
    return "database_locked";
  if (state == "25006")
    return "sql_read_only";
  if (state == "53100")
    return "database_storage_full";
  return "sql_error";
}

}  // namespace

std::string_view PgDeclared(std::uint32_t type) {
  switch (type) {
    case kBool:
      return "bool";
    case kDate:
      return "date";
    case kTime:
    case kTimeTz:
      return "time";
    case kTimestamp:
      return "timestamp";
    case kTimestampTz:
      return "timestamptz";
    case kInterval:
      return "interval";
    case kNumeric:
      return "numeric";
    case kUuid:
      return "uuid";
    default:
      return DeclaredArray(type);
  }
}

bool PgIsInteger(std::uint32_t type) {
  return type == kInt2 || IsInt(type);
}

std::uint32_t PgTypeOf(const QueryValue& value) {
  switch (value.type) {
    case QueryValueType::kInt:
      return value.integer >= std::numeric_limits<std::int32_t>::min() &&
                     value.integer <= std::numeric_limits<std::int32_t>::max()
                 ? kInt4
                 : kInt8;
    case QueryValueType::kReal:
      return kFloat8;
    case QueryValueType::kBlob:
      return kBytes;
    default:
      return 0;
  }
}

std::uint32_t PgCommonType(std::uint32_t one, std::uint32_t other) {
  if (one == other)
    return one;
  if (IsInt(one) && IsInt(other))
    return kInt8;
  const bool numbers = (IsInt(one) || one == kFloat8) && (IsInt(other) || other == kFloat8);
  return numbers ? kFloat8 : 0U;
}

void AppendPgValue(WireWriter& out, std::uint32_t type, std::string_view text) {
  switch (type) {
    case kBool:
      return AppendInt(out, text == "t" ? "1" : "0");
    case kInt2:
    case kInt4:
    case kInt8:
    case kOid:
      return AppendInt(out, text);
    case kFloat4:
    case kFloat8:
      return AppendReal(out, text);
    case kBytes:
      out.U8(static_cast<std::uint8_t>(QueryValueType::kBlob));
      return out.Str32(BytesOf(text));
    default:
      out.U8(static_cast<std::uint8_t>(QueryValueType::kText));
      return out.Str32(text);
  }
}

QueryErrorClass PgErrorClass(std::string_view state) {
  const std::string_view begin = state.substr(0, 2);
  if (state == "42501" || begin == "0A")
    return QueryErrorClass::kNotSupported;
  if (begin == "22" || begin == "21")
    return QueryErrorClass::kData;
  if (begin == "23")
    return QueryErrorClass::kIntegrity;
  if (begin == "42" || begin == "26" || begin == "3F" || begin == "34")
    return QueryErrorClass::kProgramming;
  if (begin == "25" || begin == "2D" || begin == "3B" || begin == "XX")
    return QueryErrorClass::kInternal;
  return QueryErrorClass::kOperational;
}

ServerError PgErrorOf(std::string_view state, std::string message) {
  ServerError error{.kind = PgErrorClass(state),
                    .code = CodeOf(state, message),
                    .message = std::move(message),
                    .stopped = state == "57014"};
  if (state == "08P01")
    error.kind = QueryErrorClass::kProgramming;
  if (state == "42501")
    error.message += ": an app's role may use what is in its own schema, and nothing of the server";
  error.message += " (SQLSTATE " + std::string(state) + ")";
  return error;
}

}  // namespace cloister
