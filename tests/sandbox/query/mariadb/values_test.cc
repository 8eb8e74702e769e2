#include "sandbox/query/mariadb/values.h"

#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

constexpr int kTiny = 1;
constexpr int kLongLong = 8;
constexpr int kTime = 11;
constexpr int kBlob = 252;
constexpr int kNewDecimal = 246;

QueryValue Read(std::string& bytes) {
  WireReader in(bytes);
  bool sound = true;
  const QueryValue value = QueryValue::Read(in, sound);
  EXPECT_TRUE(sound && in.AtEnd());
  return value;
}

TEST(MyValuesTest, ColumnsAreWhatTheirTypeSays) {
  EXPECT_EQ(MyKind::kInt, MyColumnOf(kTiny, false, true).kind);
  EXPECT_EQ(MyKind::kBigUnsigned, MyColumnOf(kLongLong, true, true).kind);
  EXPECT_EQ("clock", MyColumnOf(kTime, false, true).declared);
  EXPECT_EQ("numeric", MyColumnOf(kNewDecimal, false, true).declared);
  EXPECT_EQ(MyKind::kText, MyColumnOf(kBlob, false, false).kind);
  EXPECT_EQ(MyKind::kBytes, MyColumnOf(kBlob, false, true).kind);
}

TEST(MyValuesTest, ValuesKeepTheirSize) {
  std::string bytes;
  WireWriter out(bytes);
  AppendMyInt(out, MyKind::kInt, -7);
  EXPECT_EQ(-7, Read(bytes).integer);
  bytes.clear();
  AppendMyInt(out, MyKind::kBigUnsigned, -1);
  EXPECT_EQ("18446744073709551615", Read(bytes).bytes);
  bytes.clear();
  AppendMyBytes(out, MyKind::kBytes, std::string_view("\0\xff", 2));
  EXPECT_EQ(std::string_view("\0\xff", 2), Read(bytes).bytes);
  bytes.clear();
  AppendMyBytes(out, MyKind::kBits, std::string_view("\1\2", 2));
  EXPECT_EQ(258, Read(bytes).integer);
  bytes.clear();
  // Of a server that says what none says.
  AppendMyBytes(out, MyKind::kBits, std::string(100, '\1'));
  EXPECT_EQ(0x0101010101010101, Read(bytes).integer);
}

TEST(MyValuesTest, ErrorsHaveTheirClass) {
  EXPECT_EQ(QueryErrorClass::kIntegrity, MyErrorClass(1062, "23000"));
  EXPECT_EQ(QueryErrorClass::kData, MyErrorClass(1264, "22003"));
  EXPECT_EQ(QueryErrorClass::kProgramming, MyErrorClass(1146, "42S02"));
  EXPECT_EQ(QueryErrorClass::kNotSupported, MyErrorClass(1142, "42000"));
  EXPECT_EQ(QueryErrorClass::kOperational, MyErrorClass(1213, "40001"));
  EXPECT_EQ(QueryErrorClass::kOperational, MyErrorClass(9999, ""));
}

TEST(MyValuesTest, ErrorsTellNoNameOfADatabase) {
  const ServerError error =
      MyErrorOf(1146, "42S02", "Table 'cloister_x.t' doesn't exist", "cloister_x");
  EXPECT_EQ("Table 't' doesn't exist (error 1146)", error.message);
  EXPECT_FALSE(error.stopped);
  EXPECT_TRUE(MyErrorOf(1317, "70100", "interrupted", "x").stopped);
  EXPECT_STREQ("sql_refused", MyErrorOf(1227, "42000", "no", "x").code);
  EXPECT_STREQ("database_locked", MyErrorOf(1213, "40001", "no", "x").code);
}

}  // namespace
}  // namespace cloister
