#include "config/toml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace cloister {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kSizeMax = 65536;

TomlDocument Parse(std::string_view text) {
  Result<TomlDocument> document = ParseToml(text, "f", kSizeMax);
  EXPECT_TRUE(document.ok()) << document.error().message;
  return document.ok() ? std::move(document).value() : TomlDocument();
}

std::string ErrorOf(std::string_view text) {
  Result<TomlDocument> document = ParseToml(text, "f", kSizeMax);
  return document.ok() ? "no error" : document.error().message;
}

TomlValue ValueOf(const std::string& text) {
  TomlDocument document = Parse("a = " + text + "\n");
  return document.loose.empty() ? TomlValue() : document.loose[0].value;
}

TEST(TomlTest, TablesAndEntriesInTheirOrder) {
  const TomlDocument document = Parse(
      "# comment\nloose = 1\n\n[one] # comment\nb = 2\r\na = 3\n[ \"two\" ]\n[three.deep]\nx = 1\n"
      "[[list]]\ny = 1\n[[list]]\ny = 2\n[four]\nfive.six = 1\nseven = 2 # end");
  ASSERT_EQ(document.tables.size(), 6U);
  EXPECT_EQ(document.tables[0].name, "one");
  EXPECT_EQ(document.tables[0].line, 4U);
  ASSERT_EQ(document.tables[0].entries.size(), 2U);
  EXPECT_EQ(document.tables[0].entries[1].key, "a");
  EXPECT_EQ(document.tables[0].entries[1].line, 6U);
  EXPECT_EQ(document.tables[1].name, "two");
  EXPECT_EQ(document.tables[2].entries[0].key, "deep.x");
  EXPECT_EQ(document.tables[4].name, "list");
  EXPECT_EQ(document.tables[4].line, 12U);
  EXPECT_EQ(document.tables[5].entries[0].key, "five.six");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(document.tables[5].entries[0].value));
  EXPECT_EQ(document.loose.size(), 1U);
}

TEST(TomlTest, EachTableOfAListIsOneOfItsOwn) {
  const TomlDocument document =
      Parse("[[a]]\nx = 1\n[a.deep]\ny = 1\n[b]\nz = 1\n[[a]]\n[[a]]\nx = 3\n[a.deep]\ny = 3\n");
  ASSERT_EQ(document.tables.size(), 4U);
  const auto value_of = [](const TomlEntry& entry) { return std::get<std::int64_t>(entry.value); };
  EXPECT_TRUE(document.tables[0].in_list);
  ASSERT_EQ(document.tables[0].entries.size(), 2U);
  EXPECT_EQ(value_of(document.tables[0].entries[0]), 1);
  EXPECT_EQ(document.tables[0].entries[1].key, "deep.y");
  EXPECT_FALSE(document.tables[1].in_list);
  EXPECT_EQ(document.tables[1].entries.size(), 1U);
  EXPECT_TRUE(document.tables[2].entries.empty());
  EXPECT_TRUE(document.tables[3].in_list);
  EXPECT_EQ(document.tables[3].line, 8U);
  ASSERT_EQ(document.tables[3].entries.size(), 2U);
  EXPECT_EQ(value_of(document.tables[3].entries[0]), 3);
}

TEST(TomlTest, AListInATableIsAValueOfNoKindThatWeRead) {
  const TomlDocument document = Parse("[a]\n[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n");
  ASSERT_EQ(document.tables.size(), 1U);
  ASSERT_EQ(document.tables[0].entries.size(), 4U);
  EXPECT_EQ(document.tables[0].entries[0].key, "b");
  EXPECT_EQ(document.tables[0].entries[3].key, "b.x");
  for (const TomlEntry& entry : document.tables[0].entries)
    EXPECT_TRUE(std::holds_alternative<std::monostate>(entry.value));
}

TEST(TomlTest, Strings) {
  const std::pair<std::string, std::string> rows[] = {
      {"\"\"", ""},
      {R"("a\"b\\c\t\u00e9\U0001F600")", "a\"b\\c\t\u00e9\U0001f600"},
      {R"('a\b"c')", "a\\b\"c"},
      {"\"\"\"\nline\n  two\\\n   joined\"\"\"", "line\n  twojoined"},
      {"\"\"\"\"\"two\"\"\"\"\"", "\"\"two\"\""},
      {"'''\r\na\r\nb\\'''", "a\nb\\"},
      {"''''quoted''''", "'quoted'"},
      {"\"gr\u00fcn\"", "gr\u00fcn"},
  };
  for (const auto& [text, value] : rows)
    EXPECT_EQ(std::get<std::string>(ValueOf(text)), value) << text;
}

TEST(TomlTest, NumbersAndTruth) {
  const std::pair<const char*, std::int64_t> integers[] = {
      {"0", 0},
      {"+7", 7},
      {"-7", -7},
      {"1_000", 1000},
      {"0xfF", 255},
      {"0o17", 15},
      {"0b101", 5},
      {"9223372036854775807", INT64_MAX},
      {"-0", 0},
      {"0xdead_beef", 0xdeadbeef},
      {"-9223372036854775808", INT64_MIN},
  };
  for (const auto& [text, value] : integers)
    EXPECT_EQ(std::get<std::int64_t>(ValueOf(text)), value) << text;
  const std::pair<const char*, double> floats[] = {
      {"0.5", 0.5}, {"-1.5e3", -1500}, {"1e+2", 100}, {"+2.5E-1", 0.25}, {"1_0.0_1", 10.01}};
  for (const auto& [text, value] : floats)
    EXPECT_EQ(std::get<double>(ValueOf(text)), value) << text;
  EXPECT_TRUE(std::isinf(std::get<double>(ValueOf("-inf"))));
  EXPECT_TRUE(std::isnan(std::get<double>(ValueOf("nan"))));
  EXPECT_EQ(std::get<bool>(ValueOf("true")), true);
  EXPECT_EQ(std::get<bool>(ValueOf("false")), false);
}

TEST(TomlTest, ListsOfStringsAndWhatIsNotRead) {
  EXPECT_THAT(std::get<std::vector<std::string>>(ValueOf("[ # c\n\"a\", # d\n\n'b'\n, ]")),
              testing::ElementsAre("a", "b"));
  EXPECT_TRUE(std::get<std::vector<std::string>>(ValueOf("[]")).empty());
  for (const char* text : {"[1, 2]", "[[\"a\"], \"b\"]", "{}", "{ a = 1, b.c = [\"x\"] }",
                           "2026-11-21", "2026-11-21T10:05:03.5Z", "10:05:03"})
    EXPECT_TRUE(std::holds_alternative<std::monostate>(ValueOf(text))) << text;
}

TEST(TomlTest, InlineTablesOfStrings) {
  const TomlValue value = ValueOf("{ a = \"1\", \"b c\" = '2' }");
  const auto& texts = std::get<TomlTexts>(value);
  ASSERT_EQ(texts.size(), 2U);
  EXPECT_EQ(texts[0].key + texts[0].text, "a1");
  EXPECT_EQ(texts[1].key + texts[1].text, "b c2");
  for (const char* text : {"{ a = 1 }", "{ a.b = \"c\" }", "{ a = \"b\", c = [\"d\"] }"})
    EXPECT_TRUE(std::holds_alternative<std::monostate>(ValueOf(text))) << text;
}

struct Row {
  std::string text;
  std::string message;
};

TEST(TomlTest, WhatIsWrongIsSaidWithItsLine) {
  const Row rows[] = {
      {"\n[(", "f:2: expected a key"},
      {"[]", "f:1: expected a key"},
      {"[a", "f:1: expected ']' after the name"},
      {"\na = { b = \"c\", b = \"d\" }", "f:2: the key 'b' is there twice"},
      {"[[a]", "f:1: expected ']]' after the name"},
      {"[a] b", "f:1: expected the end of the line, not 'b'"},
      {"a", "f:1: expected '=' after the key"},
      {"a =", "f:1: expected a value"},
      {"a = b", "f:1: 'b' is not a value: a string needs quotes"},
      {"a = 1 2", "f:1: expected the end of the line, not '2'"},
      {"a = 1\na = 2", "f:2: the key 'a' is there twice"},
      {"[a]\nb=1\nb = 2", "f:3: the key 'b' is there twice"},
      {"[a]\n[b]\n[a]", "f:3: [a] is there twice"},
      {"a.b = 1\n[a]\nb = 2", "f:3: the key 'b' is there twice"},
      {"[[a]]\nb = 1\nb = 2", "f:3: the key 'b' is there twice"},
      {"[[a]]\n[[a]]\nb = 1\nb = 2", "f:4: the key 'b' is there twice"},
      {"[a]\n[[a]]", "f:2: [a] is there twice"},
      {"[[a]]\n[a]", "f:2: [a] is there twice"},
      {"a = 1\n[[a]]", "f:2: [a] is there twice"},
      {"[[a]]\n[a.b]\n[[a]]\n[a.b]\n[a.b]", "f:5: [a.b] is there twice"},
      {"a = \"x\nb = 1", "f:1: the string has no closing quote"},
      {"a = 'x\n'", "f:1: the string has no closing quote"},
      {"a = \"x\\", "f:1: unknown escape"},
      {"a = \"x\\\n\"", "f:1: unknown escape"},
      {"a = \"\\q\"", "f:1: unknown escape"},
      {"a = \"\\ud800\"", "f:1: \\u needs four digits"},
      {"a = \"\\u12\"", "f:1: \\u needs four digits"},
      {"a = \"\\U00110000\"", "f:1: \\u needs four digits"},
      {"a = \"\"\"x\ny\"\"", "f:2: the string has no closing quotes"},
      {"a = [1\nb = 2", "f:2: expected ',' or ']' in the list"},
      {"a = [", "f:1: expected a value"},
      {"a = {b = 1", "f:1: expected ',' or '}' in the table"},
      {"a = {b = 1,\nc = 2}", "f:1: expected a key"},
      {"a = {b}", "f:1: expected '='"},
      {"a = 01", "f:1: '01' is not a value"},
      {"a = 1__0", "f:1: '1__0' is not a value"},
      {"a = _1", "f:1: '_1' is not a value"},
      {"a = 1_", "f:1: '1_' is not a value"},
      {"a = 0x", "f:1: '0x' is not a value"},
      {"a = 0x-1", "f:1: '0x-1' is not a value"},
      {"a = 9223372036854775808", "f:1: '9223372036854775808' is not a value"},
      {"a = .5", "f:1: '.5' is not a value"},
      {"a = 5.", "f:1: '5.' is not a value"},
      {"a = 1.e2", "f:1: '1.e2' is not a value"},
      {"a = --1", "f:1: '--1' is not a value"},
      {"a = True", "f:1: 'True' is not a value"},
      {"\na\u00e9 = 1", "f:2: expected '='"},
      {"a = 1\rb = 2", "f:1: this line has a control character"},
      {"a = 1\r", "f:1: this line has a control character"},
      {std::string("# \0", 3), "f:1: this line has a control character"},
      {"# \x7f", "f:1: this line has a control character"},
      {"\n# \xff", "f:2: this line is not UTF-8"},
      {"a = " + std::string(17, '['), "f:1: values are nested too deeply"},
  };
  for (const Row& row : rows)
    EXPECT_THAT(ErrorOf(row.text), HasSubstr(row.message)) << row.text;
}

TEST(TomlTest, EverythingIsBounded) {
  const std::string text(kSizeMax, '#');
  EXPECT_EQ(ErrorOf(text), "no error");
  EXPECT_THAT(ErrorOf(text + "#"), HasSubstr("at most 65536 are read"));
  std::string tables;
  for (int i = 0; i < 64; ++i)
    tables += "[t" + std::to_string(i) + "]\n";
  EXPECT_EQ(ErrorOf(tables), "no error");
  EXPECT_THAT(ErrorOf(tables + "[more]"), HasSubstr("f:65: there are more than 64 tables"));
  EXPECT_THAT(ErrorOf(tables + "[[more]]"), HasSubstr("f:65: there are more than 64 tables"));
  std::string key = "a";
  for (int i = 0; i < 20; ++i)
    key += ".a";
  EXPECT_THAT(ErrorOf(key + " = 1"), HasSubstr("the key has too many parts"));
}

}  // namespace
}  // namespace cloister
