#include "apis/wire/event_fields.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace cloister {
namespace {

using std::string_literals::operator""s;

std::vector<EventField> EveryKind() {
  return {{.name = "none", .value = {}},
          {.name = "yes", .value = true},
          {.name = "no", .value = false},
          {.name = "least", .value = std::numeric_limits<std::int64_t>::min()},
          {.name = "real", .value = -0.5},
          {.name = std::string_view("\0\xff\n", 3), .value = "gr\xc3\xbc\xc3\x9f"},
          {.name = "", .value = ""}};
}

TEST(EventFieldsTest, EveryKindComesBack) {
  const std::string bytes = EncodeEventFields(EveryKind());
  const auto fields = ReadEventFields(bytes);
  ASSERT_TRUE(fields.ok());
  ASSERT_EQ(fields.value().size(), EveryKind().size());
  for (std::size_t i = 0; i < EveryKind().size(); ++i) {
    EXPECT_EQ(fields.value()[i].name, EveryKind()[i].name);
    EXPECT_EQ(fields.value()[i].value, EveryKind()[i].value);
  }
  EXPECT_TRUE(ReadEventFields("").value().empty());
}

TEST(EventFieldsTest, TheBytesDoNotChange) {
  EXPECT_EQ(EncodeEventFields({{.name = "a", .value = std::int64_t{3}},
                               {.name = "b", .value = "x"},
                               {.name = "c", .value = 1.0},
                               {.name = "d", .value = true},
                               {.name = "e", .value = false},
                               {.name = "f", .value = {}}}),
            "\1\0a\3\3\0\0\0\0\0\0\0"
            "\1\0b\5\1\0x"
            "\1\0c\4\0\0\0\0\0\0\xf0\x3f"
            "\1\0d\2"
            "\1\0e\1"
            "\1\0f\0"s);
}

TEST(EventFieldsTest, WhatIsCutOffIsRefusedUnlessItEndsBehindAField) {
  const std::string one = EncodeEventFields({{.name = "name", .value = "value"}});
  const std::string two = one + EncodeEventFields({{.name = "n", .value = std::int64_t{1}}});
  for (std::size_t size = 1; size < two.size(); ++size)
    EXPECT_EQ(ReadEventFields(std::string_view(two).substr(0, size)).ok(), size == one.size())
        << size;
}

TEST(EventFieldsTest, UnknownKindsAreRefused) {
  EXPECT_FALSE(ReadEventFields("\1\0a\6"s).ok());
  EXPECT_FALSE(ReadEventFields("\1\0a\xff"s).ok());
}

TEST(EventFieldsTest, TheNumberOfFieldsHasALimit) {
  std::vector<EventField> fields(kEventFieldsMax);
  EXPECT_TRUE(ReadEventFields(EncodeEventFields(fields)).ok());
  fields.emplace_back();
  EXPECT_FALSE(ReadEventFields(EncodeEventFields(fields)).ok());
}

TEST(EventFieldsTest, TheirBytesHaveALimit) {
  constexpr std::size_t kAround = 2 + 1 + 2;  // the length of the name, kind, length of the text
  const std::string most(kEventFieldsBytesMax - kAround, 'x');
  EXPECT_TRUE(ReadEventFields(EncodeEventFields({{.name = "", .value = most}})).ok());
  const std::string more = most + "x";
  EXPECT_FALSE(ReadEventFields(EncodeEventFields({{.name = "", .value = more}})).ok());
}

}  // namespace
}  // namespace cloister
