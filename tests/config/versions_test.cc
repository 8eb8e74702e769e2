#include "config/versions.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cloister {
namespace {

Version Parsed(const std::string& text) {
  Result<Version> version = Version::Parse(text);
  EXPECT_TRUE(version.ok()) << text << ": " << version.error().message;
  return std::move(version).value();
}

// Each is lower than all behind it.
void ExpectAscending(const std::vector<std::string>& chain) {
  for (std::size_t i = 0; i < chain.size(); ++i)
    for (std::size_t j = 0; j < chain.size(); ++j)
      EXPECT_EQ(Parsed(chain[i]) <=> Parsed(chain[j]), i <=> j) << chain[i] << " " << chain[j];
}

TEST(VersionsTest, TheSpecificationsOwnChains) {
  ExpectAscending({"1.0.0", "2.0.0", "2.1.0", "2.1.1"});
  ExpectAscending({"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
                   "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"});
}

TEST(VersionsTest, EachRuleOfPrecedence) {
  const struct {
    const char* item;  // of SemVer 2.0.0
    const char* lower;
    const char* higher;
  } rows[] = {
      {"11.2 major", "1.9.9", "2.0.0"},
      {"11.2 major above all", "9.0.0", "10.0.0-0"},
      {"11.2 minor", "2.0.9", "2.1.0"},
      {"11.2 minor as a number", "2.9.0", "2.10.0"},
      {"11.2 patch", "2.1.0", "2.1.1"},
      {"11.2 patch as a number", "2.1.9", "2.1.10"},
      {"11.3 pre-release below normal", "1.0.0-alpha", "1.0.0"},
      {"11.3 pre-release above the patch before", "1.0.0", "1.0.1-0"},
      {"11.4 the first difference decides", "1.0.0-a.1.z", "1.0.0-a.2.a"},
      {"11.4.1 digits by number", "1.0.0-2", "1.0.0-11"},
      {"11.4.2 letters by ASCII", "1.0.0-Z", "1.0.0-a"},
      {"11.4.2 hyphens by ASCII", "1.0.0--", "1.0.0-0a"},
      {"11.4.2 digits in words are letters", "1.0.0-rc10", "1.0.0-rc2"},
      {"11.4.3 numbers below words", "1.0.0-999", "1.0.0-a"},
      {"11.4.3 numbers below words of digits and hyphens", "1.0.0-999", "1.0.0-1-"},
      {"11.4.4 more fields are higher", "1.0.0-alpha", "1.0.0-alpha.0"},
      {"11.4.4 only when all before are equal", "1.0.0-alpha.9.9", "1.0.0-beta"},
  };
  for (const auto& row : rows) {
    EXPECT_LT(Parsed(row.lower), Parsed(row.higher)) << row.item;
    EXPECT_GT(Parsed(row.higher), Parsed(row.lower)) << row.item;
  }
}

TEST(VersionsTest, NumbersOfAnyLengthCompareAsNumbers) {
  ExpectAscending({"1.9.0", "1.10.0", "1.99999999999999999999.0", "1.100000000000000000000.0"});
  ExpectAscending({"1.0.0-9", "1.0.0-18446744073709551616", "1.0.0-18446744073709551617"});
}

TEST(VersionsTest, PreReleasesOrderByTheirParts) {
  ExpectAscending({"1.0.0-0", "1.0.0-1", "1.0.0--", "1.0.0-1-", "1.0.0-A", "1.0.0-a", "1.0.0-a.0",
                   "1.0.0-a.b", "1.0.0-a-b"});
}

TEST(VersionsTest, ABareNumberOrdersAsItsWrittenOutForm) {
  ExpectAscending({"0", "1", "2.0.0-rc.1", "2", "2.0.1", "3.1.4", "201105261324", "201105261325",
                   "201105261325.0.1"});
  EXPECT_EQ(Parsed("7"), Parsed("7.0.0"));
  EXPECT_EQ(Parsed("201105261324").text(), "201105261324");
}

TEST(VersionsTest, ATimestampHasOneSpelling) {
  const Result<Version> version = Version::Parse("201105261324.0.0");
  ASSERT_FALSE(version.ok());
  EXPECT_NE(version.error().message.find("without '.0.0'"), std::string::npos);
  EXPECT_TRUE(Version::Parse("1234567.0.0").ok());
  EXPECT_FALSE(Version::Parse("12345678.0.0").ok());
  EXPECT_TRUE(Version::Parse("12345678.0.1").ok());
}

TEST(VersionsTest, WhatIsNoVersionSaysWhy) {
  const struct {
    const char* text;
    const char* why;
  } rows[] = {
      {"", "1 to 64"},
      {"1.2", "MAJOR.MINOR.PATCH"},
      {"1.2.3.4", "MAJOR.MINOR.PATCH"},
      {"v1.2.3", "not a number"},
      {"1..3", "not a number"},
      {"-1.2.3", "not a number"},
      {" 1.2.3", "not a number"},
      {"01.2.3", "leading zero"},
      {"1.2.03", "leading zero"},
      {"007", "leading zero"},
      {"1.2.3+build", "+build"},
      {"1.2.3-", "empty"},
      {"1.2.3-a..b", "empty"},
      {"1.2.3-01", "leading zero"},
      {"1.2.3-a_b", "characters"},
      {"1.2.3-\xc3\xbc", "characters"},
      {"1-alpha", "needs MAJOR"},
  };
  for (const auto& row : rows) {
    const Result<Version> version = Version::Parse(row.text);
    ASSERT_FALSE(version.ok()) << row.text;
    EXPECT_EQ(version.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(version.error().message.find("'" + std::string(row.text) + "' is no version: "), 0U);
    EXPECT_NE(version.error().message.find(row.why), std::string::npos) << version.error().message;
  }
}

TEST(VersionsTest, TheLengthIsBounded) {
  EXPECT_TRUE(Version::Parse(std::string(kVersionMax, '1')).ok());
  EXPECT_FALSE(Version::Parse(std::string(kVersionMax + 1, '1')).ok());
}

}  // namespace
}  // namespace cloister
