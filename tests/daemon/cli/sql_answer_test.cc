#include "daemon/cli/sql_answer.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "apis/wire/codec.h"
#include "tests/daemon/cli/written.h"

namespace cloister {
namespace {

// Columns with the name "a", and these values, encoded.
std::string Answer(std::string_view values, std::uint32_t rows, std::uint16_t columns = 1) {
  std::string bytes;
  WireWriter out(bytes);
  QueryReplyHead{.status = QueryStatus::kDone, .in_transaction = true, .flags = 0}.Encode(out);
  out.U64(0);
  out.U8(0);
  out.U64(0);
  out.U16(columns);
  for (std::uint16_t i = 0; i < columns; ++i) {
    out.U8(1);
    out.Str32("a");
    out.U8(0);
  }
  out.U32(rows);
  out.Raw(values);
  return bytes;
}

std::string Text(std::string_view text, QueryValueType type = QueryValueType::kText) {
  std::string bytes;
  WireWriter out(bytes);
  out.U8(static_cast<std::uint8_t>(type));
  out.Str32(text);
  return bytes;
}

std::string Number(QueryValueType type, std::uint64_t bits) {
  std::string bytes;
  WireWriter out(bytes);
  out.U8(static_cast<std::uint8_t>(type));
  out.U64(bits);
  return bytes;
}

std::string Real(double real) {
  return Number(QueryValueType::kReal, std::bit_cast<std::uint64_t>(real));
}

std::string Shown(const std::string& bytes, SqlFormat format) {
  Written out;
  Console console({.out = out.file()});
  const Attempt<SqlAnswer> answer = SqlAnswer::Read(bytes);
  EXPECT_TRUE(answer.ok());
  if (answer.ok())
    ShowRows(console, answer.value(), format);
  return out.text();
}

TEST(SqlAnswerTest, ValuesOfAllTypesAreShown) {
  const std::string bytes =
      Answer(std::string(1, '\0') + Number(QueryValueType::kInt, ~std::uint64_t{0}) + Real(2) +
                 Real(std::numeric_limits<double>::infinity()) + Text("a\nb\x1b") + Text("") +
                 Text(std::string(40, '\x01'), QueryValueType::kBlob),
             7);
  EXPECT_EQ(
      Shown(bytes, SqlFormat::kTable), "a\nNULL\n-1\n2.0\ninf\na\\nb\\x1b\n\nx'" + [] {
        std::string hex;
        for (int i = 0; i < 32; ++i)
          hex += "01";
        return hex;
      }() + "...' (40 bytes)\n");
  EXPECT_EQ(
      Shown(bytes, SqlFormat::kJson),
      "{\"a\":null}\n{\"a\":-1}\n{\"a\":2.0}\n{\"a\":\"inf\"}\n{\"a\":\"a\\nb\\u001b\"}\n"
      "{\"a\":\"\"}\n{\"a\":{\"base64\":\"" +
          [] {
            std::string base64;
            for (int i = 0; i < 13; ++i)
              base64 += "AQEB";
            return base64;
          }() +
          "AQ==\"}}\n");
  EXPECT_EQ(Shown(Answer(Text("a,\"b\"") + std::string(1, '\0') + Text(""), 3), SqlFormat::kCsv),
            "a\r\n\"a,\"\"b\"\"\"\r\n\r\n\"\"\r\n");
}

TEST(SqlAnswerTest, AsManyColumnsOfOneNameAsThereCanBe) {
  constexpr std::uint16_t kCount = 65535;
  const std::string shown = Shown(Answer(std::string(kCount, '\0'), 1, kCount), SqlFormat::kJson);
  EXPECT_TRUE(shown.starts_with("{\"a\":null,\"a_2\":null,"));
  EXPECT_TRUE(shown.ends_with(",\"a_65535\":null}\n"));
}

TEST(SqlAnswerTest, NumbersStandToTheRight) {
  const std::string bytes = Answer(
      Number(QueryValueType::kInt, 1) + std::string(1, '\0') + Number(QueryValueType::kInt, 10000),
      3);
  EXPECT_EQ(Shown(bytes, SqlFormat::kTable), "    a\n    1\n NULL\n10000\n");
}

TEST(SqlAnswerTest, ALongValueMakesNoOtherRowLong) {
  const std::string row = Text("a") + Text("b");
  const std::string bytes = Answer(Text(std::string(100000, 'x')) + Text("b") + row + row, 3, 2);
  const std::string shown = Shown(bytes, SqlFormat::kTable);
  EXPECT_LT(shown.size(), 102000U);
  EXPECT_TRUE(shown.ends_with("a" + std::string(501, ' ') + "b\n"));
}

TEST(SqlAnswerTest, WhatIsCutOffIsNoAnswer) {
  const std::string bytes = Answer(Text("abc") + Number(QueryValueType::kInt, 5), 2);
  ASSERT_TRUE(SqlAnswer::Read(bytes).ok());
  EXPECT_EQ(2U, SqlAnswer::Read(bytes).value().rows());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Attempt<SqlAnswer> cut = SqlAnswer::Read(bytes.substr(0, size));
    ASSERT_FALSE(cut.ok()) << size;
    EXPECT_EQ("bad_answer", cut.error().code);
  }
  EXPECT_FALSE(SqlAnswer::Read(bytes + "x").ok());
  // More rows than there are bytes for.
  EXPECT_FALSE(SqlAnswer::Read(Answer(Text("abc"), 0xffffffff)).ok());
  EXPECT_FALSE(SqlAnswer::Read(Answer("\x09", 1)).ok());
}

TEST(SqlAnswerTest, FailuresHaveTheirCodesAndExits) {
  const auto failed = [](std::string_view code) {
    return SqlAnswer::Read(
               EncodeQueryFailure({}, QueryErrorClass::kOperational, code, "why it failed"))
        .error();
  };
  EXPECT_EQ("why it failed", failed("sql_error").what);
  EXPECT_EQ(ExitCode::kFailed, failed("sql_error").exit);
  EXPECT_EQ(ExitCode::kRefused, failed("sql_refused").exit);
  EXPECT_NE(std::string::npos, failed("sql_read_only").advice.find("--write"));
  const Failure quota =
      SqlAnswer::Read(EncodeQueryRefusal({}, "query.statement", 5000, 5001, 250)).error();
  EXPECT_EQ("quota_exceeded", quota.code);
  EXPECT_EQ(ExitCode::kRefused, quota.exit);
  EXPECT_NE(std::string::npos, quota.advice.find("250 ms"));
  EXPECT_TRUE(SqlAnswer::SaysTransaction(
      EncodeQueryFailure({.in_transaction = true}, QueryErrorClass::kData, "x", "")));
  EXPECT_FALSE(SqlAnswer::SaysTransaction(""));
}

}  // namespace
}  // namespace cloister
