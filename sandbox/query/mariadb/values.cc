#include "sandbox/query/mariadb/values.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace cloister {
namespace {

// Of the protocol, where they are fixed.
enum MyType : int {
  kDecimal = 0,
  kTiny = 1,
  kShort = 2,
  kLong = 3,
  kFloat = 4,
  kDouble = 5,
  kTimestamp = 7,
  kLongLong = 8,
  kInt24 = 9,
  kDate = 10,
  kTime = 11,
  kDateTime = 12,
  kYear = 13,
  kNewDate = 14,
  kBit = 16,
  kNewDecimal = 246,
};

constexpr unsigned kQueryInterrupted = 1317;
constexpr unsigned kStatementTimeout = 1969;
constexpr unsigned kSyntax = 1064;
constexpr unsigned kWrongArguments = 1210;
constexpr unsigned kReadOnly = 1792;

template <std::size_t Count>
bool IsOneOf(const unsigned (&numbers)[Count], unsigned number) {
  return std::ranges::find(numbers, number) != std::end(numbers);
}

bool IsDenied(unsigned number) {
  constexpr unsigned kDenied[] = {1044, 1045, 1142, 1143, 1227, 1370, 1410, 1419, 1698};
  return IsOneOf(kDenied, number);
}

bool IsLocked(unsigned number) {
  constexpr unsigned kLocked[] = {1205, 1213, 3572, 4028};
  return IsOneOf(kLocked, number);
}

const char* CodeOf(unsigned number) {
  constexpr unsigned kFull[] = {1021, 1114};
  if (IsDenied(number))
    return "sql_refused";
  if (IsLocked(number))
    return "database_locked";
  if (number == kWrongArguments)
    return "sql_parameters";
  if (number == kReadOnly)
    return "sql_read_only";
  return IsOneOf(kFull, number) ? "database_storage_full" : "sql_error";
}

void Erase(std::string& text, const std::string& what) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at))
    text.erase(at, what.size());
}

}  // namespace

MyColumn MyColumnOf(int type, bool is_unsigned, bool binary) {
  switch (type) {
    case kTiny:
    case kShort:
    case kLong:
    case kInt24:
    case kYear:
      return {.kind = MyKind::kInt, .declared = {}};
    case kLongLong:
      // What is too large for the wire comes as text.
      return is_unsigned ? MyColumn{.kind = MyKind::kBigUnsigned, .declared = "int"}
                         : MyColumn{.kind = MyKind::kInt, .declared = {}};
    case kFloat:
    case kDouble:
      return {.kind = MyKind::kReal, .declared = {}};
    case kDecimal:
    case kNewDecimal:
      return {.kind = MyKind::kText, .declared = "numeric"};
    case kDate:
    case kNewDate:
      return {.kind = MyKind::kText, .declared = "date"};
    case kTime:
      return {.kind = MyKind::kText, .declared = "clock"};
    case kTimestamp:
    case kDateTime:
      return {.kind = MyKind::kText, .declared = "timestamp"};
    case kBit:
      return {.kind = MyKind::kBits, .declared = {}};
    default:
      return {.kind = binary ? MyKind::kBytes : MyKind::kText, .declared = {}};
  }
}

void AppendMyBytes(WireWriter& out, MyKind kind, std::string_view bytes) {
  if (kind == MyKind::kBits) {
    std::uint64_t number = 0;
    for (const char byte : bytes.substr(0, sizeof number))
      number = number << 8 | static_cast<unsigned char>(byte);
    return AppendMyInt(out, MyKind::kInt, std::bit_cast<std::int64_t>(number));
  }
  out.U8(static_cast<std::uint8_t>(kind == MyKind::kBytes ? QueryValueType::kBlob
                                                          : QueryValueType::kText));
  out.Str32(bytes);
}

void AppendMyInt(WireWriter& out, MyKind kind, std::int64_t number) {
  if (kind == MyKind::kBigUnsigned && number < 0)
    return AppendMyBytes(out, MyKind::kText, std::to_string(std::bit_cast<std::uint64_t>(number)));
  out.U8(static_cast<std::uint8_t>(QueryValueType::kInt));
  out.U64(static_cast<std::uint64_t>(number));
}

QueryErrorClass MyErrorClass(unsigned number, std::string_view state) {
  constexpr unsigned kIntegrity[] = {1022, 1048, 1062, 1169, 1216, 1217, 1364,
                                     1451, 1452, 1557, 1586, 1761, 1762, 4025};
  constexpr unsigned kData[] = {1074, 1153, 1264, 1265, 1292, 1365, 1366,
                                1367, 1406, 1411, 1690, 1918, 4078};
  constexpr unsigned kNotSupported[] = {1235, 1286, 1295, 1214};
  constexpr unsigned kProgramming[] = {1136, 1210, 1231, 1243, 1305, 1356, 1390, 4161};
  if (IsDenied(number) || IsOneOf(kNotSupported, number))
    return QueryErrorClass::kNotSupported;
  if (IsOneOf(kIntegrity, number))
    return QueryErrorClass::kIntegrity;
  if (IsOneOf(kData, number))
    return QueryErrorClass::kData;
  if (IsOneOf(kProgramming, number))
    return QueryErrorClass::kProgramming;
  const std::string_view begin = state.substr(0, 2);
  if (begin == "23")
    return QueryErrorClass::kIntegrity;
  if (begin == "22")
    return QueryErrorClass::kData;
  return begin == "42" || begin == "21" ? QueryErrorClass::kProgramming
                                        : QueryErrorClass::kOperational;
}

ServerError MyErrorOf(unsigned number, std::string_view state, std::string message,
                      std::string_view database) {
  if (!database.empty()) {
    const std::string name(database);
    // 'name.table', `name`.`table`.
    Erase(message, name + ".");
    Erase(message, "`" + name + "`.");
  }
  ServerError error{.kind = MyErrorClass(number, state),
                    .code = CodeOf(number),
                    .message = std::move(message),
                    .stopped = number == kQueryInterrupted || number == kStatementTimeout};
  if (number == kSyntax)
    error.message = "syntax error: " + error.message;
  if (IsDenied(number))
    error.message += ": an app's account may use its own tables, and nothing of the server";
  error.message += " (error " + std::to_string(number) + ")";
  return error;
}

bool IsMyLoss(unsigned number) {
  constexpr unsigned kLost[] = {1053, 1080, 1152, 1158, 1159, 1160, 1161, 1184,
                                1927, 2003, 2006, 2013, 2014, 2027, 2055};
  return IsOneOf(kLost, number);
}

}  // namespace cloister
