#include "apis/base/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <unordered_set>

namespace cloister {
namespace {

using std::string_view_literals::operator""sv;

TEST(NamesTest, WhatMayNameATenantOrAnApp) {
  for (const std::string_view name : {"a"sv, "hello"sv, "a-b"sv, "a1"sv, "a-"sv, "z9-0"sv})
    EXPECT_TRUE(IsValidName(name)) << name;
  for (const std::string_view name :
       {""sv, "A"sv, "1a"sv, "-a"sv, "a_b"sv, "a.b"sv, "a/b"sv, "a b"sv, "\xc3\xa4"sv, "a\0b"sv})
    EXPECT_FALSE(IsValidName(name)) << name;
  EXPECT_TRUE(IsValidName(std::string(kNameMax - 1, 'a')));
  EXPECT_TRUE(IsValidName(std::string(kNameMax, 'a')));
  EXPECT_FALSE(IsValidName(std::string(kNameMax + 1, 'a')));
}

TEST(AppNameTest, IsTenantAndName) {
  const auto parsed = AppName::Parse("demo/hello");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ("demo", parsed.value().tenant());
  EXPECT_EQ("hello", parsed.value().app());
  EXPECT_EQ("demo/hello", parsed.value().ToString());
  EXPECT_EQ(parsed.value(), AppName::Create("demo", "hello").value());
  EXPECT_LT(AppName::Create("a", "z").value(), AppName::Create("b", "a").value());
}

TEST(AppNameTest, SaysWhatIsWrong) {
  for (const std::string_view text : {"hello"sv, ""sv, "/"sv, "demo/"sv, "/hello"sv, "a/b/c"sv,
                                      "Demo/hello"sv, "demo/hel lo"sv}) {
    const auto parsed = AppName::Parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(ErrorCode::kInvalidArgument, parsed.error().code);
    EXPECT_THAT(parsed.error().message, testing::HasSubstr("'"));
  }
  // However long the text is, the message is short.
  EXPECT_LT(AppName::Parse(std::string(100000, 'x')).error().message.size(), 300u);
}

TEST(IdTest, ZeroIsNone) {
  EXPECT_FALSE(AppId().valid());
  EXPECT_TRUE(AppId{1}.valid());
  EXPECT_LT(AppId{1}, AppId{2});
  EXPECT_THAT((std::unordered_set<AppId>{AppId{1}, AppId{2}, AppId{1}}), testing::SizeIs(2));
}

}  // namespace
}  // namespace cloister
