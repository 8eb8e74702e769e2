// Functions of text and numbers that SQLite lacks and Django uses.

#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/query/function.h"

namespace cloister {
namespace {

// Of what a function makes; SQLite's own limit of a value is as large.
constexpr std::size_t kResultMax = std::size_t{32} << 20;

bool IsContinuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

std::size_t CountCharacters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char byte) { return !IsContinuation(byte); }));
}

// The first characters of a text.
std::string_view Head(std::string_view text, std::size_t characters) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (!IsContinuation(text[at]) && characters-- == 0)
      break;
    ++at;
  }
  return text.substr(0, at);
}

// So many characters of `fill`, again and again; nothing: they would be too many bytes.
std::optional<std::string> Filled(std::string_view fill, std::size_t characters) {
  const std::size_t each = CountCharacters(fill);
  std::string text;
  if (each == 0)
    return text;
  if (characters / each >= kResultMax / fill.size())
    return std::nullopt;
  for (std::size_t i = 0; i < characters / each; ++i)
    text += fill;
  return text += Head(fill, characters % each);
}

enum class Side { kLeft, kRight };

template <Side side>
void Pad(sqlite3_context* context, int count, sqlite3_value** values) {
  if (AnyNull(count, values))
    return sqlite3_result_null(context);
  const std::string_view text = TextOf(values[0]);
  const auto length =
      static_cast<std::size_t>(std::max<sqlite3_int64>(0, sqlite3_value_int64(values[1])));
  const std::string_view fill = TextOf(values[2]);
  const std::size_t has = CountCharacters(text);
  if (length <= has)
    return ReturnText(context, Head(text, length));
  std::optional<std::string> padding = Filled(fill, length - has);
  if (!padding || padding->size() + text.size() > kResultMax)
    return sqlite3_result_error_toobig(context);
  if (side == Side::kLeft)
    *padding += text;
  else
    padding->insert(0, text);
  ReturnText(context, *padding);
}

void Repeat(sqlite3_context* context, int count, sqlite3_value** values) {
  if (AnyNull(count, values))
    return sqlite3_result_null(context);
  const std::string_view text = TextOf(values[0]);
  const auto times =
      static_cast<std::size_t>(std::max<sqlite3_int64>(0, sqlite3_value_int64(values[1])));
  if (!text.empty() && times > kResultMax / text.size())
    return sqlite3_result_error_toobig(context);
  std::string repeated;
  repeated.reserve(text.size() * times);
  for (std::size_t i = 0; !text.empty() && i < times; ++i)
    repeated += text;
  ReturnText(context, repeated);
}

void Reverse(sqlite3_context* context, int count, sqlite3_value** values) {
  if (AnyNull(count, values))
    return sqlite3_result_null(context);
  const std::string_view text = TextOf(values[0]);
  std::string reversed;
  reversed.reserve(text.size());
  std::size_t end = text.size();
  for (std::size_t at = text.size(); at-- > 0;)
    if (!IsContinuation(text[at]) || at == 0) {
      reversed += text.substr(at, end - at);
      end = at;
    }
  ReturnText(context, reversed);
}

template <const EVP_MD* (*algorithm)()>
void Digest(sqlite3_context* context, int count, sqlite3_value** values) {
  if (AnyNull(count, values))
    return sqlite3_result_null(context);
  const std::string_view text = TextOf(values[0]);
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), bytes, &size, algorithm(), nullptr) != 1)
    return Fail(context, "this digest is not to be had");
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 15];
  }
  ReturnText(context, hex);
}

void BitXor(sqlite3_context* context, int count, sqlite3_value** values) {
  if (AnyNull(count, values))
    return sqlite3_result_null(context);
  sqlite3_result_int64(context, sqlite3_value_int64(values[0]) ^ sqlite3_value_int64(values[1]));
}

void Cotangent(sqlite3_context* context, int count, sqlite3_value** values) {
  if (AnyNull(count, values))
    return sqlite3_result_null(context);
  sqlite3_result_double(context, 1 / std::tan(sqlite3_value_double(values[0])));
}

// From 0 to 1, without 1.
void Rand(sqlite3_context* context, int /*count*/, sqlite3_value** /*values*/) {
  constexpr int kBits = 53;
  std::uint64_t bits = 0;
  sqlite3_randomness(sizeof bits, &bits);
  sqlite3_result_double(context, std::ldexp(static_cast<double>(bits >> (64 - kBits)), -kBits));
}

constexpr SqlFunction kFunctions[] = {
    {.name = "LPAD", .arguments = 3, .run = Pad<Side::kLeft>},
    {.name = "RPAD", .arguments = 3, .run = Pad<Side::kRight>},
    {.name = "REPEAT", .arguments = 2, .run = Repeat},
    {.name = "REVERSE", .arguments = 1, .run = Reverse},
    {.name = "MD5", .arguments = 1, .run = Digest<EVP_md5>},
    {.name = "SHA1", .arguments = 1, .run = Digest<EVP_sha1>},
    {.name = "SHA224", .arguments = 1, .run = Digest<EVP_sha224>},
    {.name = "SHA256", .arguments = 1, .run = Digest<EVP_sha256>},
    {.name = "SHA384", .arguments = 1, .run = Digest<EVP_sha384>},
    {.name = "SHA512", .arguments = 1, .run = Digest<EVP_sha512>},
    {.name = "BITXOR", .arguments = 2, .run = BitXor},
    {.name = "COT", .arguments = 1, .run = Cotangent},
    {.name = "RAND", .arguments = 0, .run = Rand, .deterministic = false},
};

}  // namespace

int AddTextFunctions(sqlite3* db) {
  for (const SqlFunction& function : kFunctions)
    if (const int rc = AddFunction(db, function); rc != SQLITE_OK)
      return rc;
  return SQLITE_OK;
}

}  // namespace cloister
