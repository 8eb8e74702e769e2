#include "sandbox/query/postgresql/values.h"

#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

constexpr std::uint32_t kBool = 16;
constexpr std::uint32_t kBytes = 17;
constexpr std::uint32_t kInt8 = 20;
constexpr std::uint32_t kInt4 = 23;
constexpr std::uint32_t kFloat8 = 701;
constexpr std::uint32_t kNumeric = 1700;

QueryValue Read(std::uint32_t type, std::string_view text, std::string& bytes) {
  bytes.clear();
  WireWriter out(bytes);
  AppendPgValue(out, type, text);
  WireReader in(bytes);
  bool sound = true;
  const QueryValue value = QueryValue::Read(in, sound);
  EXPECT_TRUE(sound && in.AtEnd()) << text;
  return value;
}

TEST(PgValuesTest, TextBecomesWhatItIs) {
  std::string bytes;
  EXPECT_EQ(-7, Read(kInt8, "-7", bytes).integer);
  EXPECT_EQ(1, Read(kBool, "t", bytes).integer);
  EXPECT_EQ(0, Read(kBool, "f", bytes).integer);
  EXPECT_EQ(0.5, Read(kFloat8, "0.5", bytes).real);
  EXPECT_GT(Read(kFloat8, "Infinity", bytes).real, 1e308);
  EXPECT_EQ(std::string_view("\0\xff", 2), Read(kBytes, "\\x00ff", bytes).bytes);
  EXPECT_EQ("", Read(kBytes, "\\x", bytes).bytes);
  EXPECT_EQ("1.50", Read(kNumeric, "1.50", bytes).bytes);
}

// Of a server that says what none says.
TEST(PgValuesTest, NonsenseIsReadWithinItsBounds) {
  std::string bytes;
  EXPECT_EQ(0, Read(kInt4, "", bytes).integer);
  EXPECT_EQ("", Read(kBytes, "", bytes).bytes);
  EXPECT_EQ("", Read(kBytes, "\\", bytes).bytes);
  EXPECT_EQ(1U, Read(kBytes, "\\xzz1", bytes).bytes.size());
}

TEST(PgValuesTest, ArraysSayWhatTheirElementsAre) {
  EXPECT_EQ("int[]", PgDeclared(1016));
  EXPECT_EQ("text[]", PgDeclared(1003));
  EXPECT_EQ("numeric[]", PgDeclared(1231));
  EXPECT_EQ("numeric", PgDeclared(kNumeric));
  EXPECT_EQ("", PgDeclared(3807));  // of jsonb
}

TEST(PgValuesTest, TypesOfOnePlaceAreMerged) {
  EXPECT_EQ(kInt8, PgCommonType(kInt4, kInt8));
  EXPECT_EQ(kFloat8, PgCommonType(kInt4, kFloat8));
  EXPECT_EQ(kInt4, PgCommonType(kInt4, kInt4));
  EXPECT_EQ(0U, PgCommonType(kInt4, 0));
  EXPECT_EQ(0U, PgCommonType(kBytes, kInt4));
}

TEST(PgValuesTest, StatesHaveTheirClass) {
  EXPECT_EQ(QueryErrorClass::kIntegrity, PgErrorClass("23505"));
  EXPECT_EQ(QueryErrorClass::kData, PgErrorClass("22003"));
  EXPECT_EQ(QueryErrorClass::kProgramming, PgErrorClass("42P01"));
  EXPECT_EQ(QueryErrorClass::kNotSupported, PgErrorClass("42501"));
  EXPECT_EQ(QueryErrorClass::kInternal, PgErrorClass("25P02"));
  EXPECT_EQ(QueryErrorClass::kOperational, PgErrorClass("40001"));
  EXPECT_EQ(QueryErrorClass::kOperational, PgErrorClass(""));
}

}  // namespace
}  // namespace cloister
