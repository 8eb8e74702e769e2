#include "daemon/logs/redactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "apis/wire/event_fields.h"
#include "daemon/logs/log_event.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::shared_ptr<const Redactor> Of(const std::vector<NamedSecret>& secrets) {
  return Redactor::Create(secrets);
}

std::string Clean(const Redactor& redactor, std::string text,
                  Redactor::End end = Redactor::End::kWhole) {
  redactor.Redact(text, end);
  return text;
}

TEST(RedactorTest, ASecretBecomesItsName) {
  const auto redactor = Of({{"PASSWORD", "hunter2hunter2"}, {"TOKEN", "abcdefgh"}});
  EXPECT_EQ(Clean(*redactor, "a hunter2hunter2 b abcdefgh"),
            "a [secret PASSWORD] b [secret TOKEN]");
  EXPECT_EQ(Clean(*redactor, "abcdefghabcdefgh"), "[secret TOKEN][secret TOKEN]");
  EXPECT_EQ(Clean(*redactor, "hunter2 abcdefg"), "hunter2 abcdefg");
  EXPECT_EQ(Clean(*redactor, ""), "");
}

TEST(RedactorTest, ShortValuesAreNotLookedFor) {
  EXPECT_EQ(Of({{"PIN", "1234567"}}), nullptr);
  EXPECT_EQ(Of({}), nullptr);
  EXPECT_NE(Of({{"PIN", "12345678"}}), nullptr);
}

TEST(RedactorTest, OverlappingSecretsLeaveNoByte) {
  const auto redactor = Of({{"A", "12345678"}, {"B", "56789012"}, {"C", "1234567890"}});
  EXPECT_EQ(Clean(*redactor, "x123456789012y"), "x[secret C]y");
  EXPECT_EQ(Clean(*redactor, "x12345678x"), "x[secret A]x");
}

TEST(RedactorTest, ARunOfOneByteIsReplacedWhole) {
  const auto redactor = Of({{"A", std::string(8, 'a')}});
  EXPECT_EQ(Clean(*redactor, "b" + std::string(1000, 'a') + "c"), "b[secret A]c");
  EXPECT_EQ(Clean(*redactor, std::string(7, 'a') + "b"), std::string(7, 'a') + "b");
}

TEST(RedactorTest, AnyBytesAreASecret) {
  const std::string secret("\x00\xff\x80\n\x00\x01\x02\x03", 8);
  const auto redactor = Of({{"A", secret}});
  EXPECT_EQ(Clean(*redactor, "[" + secret + "]"), "[[secret A]]");
}

TEST(RedactorTest, AKeyOfSeveralLinesIsFoundLineByLine) {
  const auto redactor = Of({{"KEY",
                             "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n"
                             "9w0BAQEFAASCBKcwggSj\n-----END PRIVATE KEY-----\n"}});
  EXPECT_EQ(Clean(*redactor, "  MIIEvQIBADANBgkqhkiG\\n"), "  [secret KEY]\\n");
  EXPECT_EQ(Clean(*redactor, "-----BEGIN PRIVATE KEY-----"), "-----BEGIN PRIVATE KEY-----");
}

TEST(RedactorTest, WhatIsLeftOfASecretWhereTextWasCutGoesToo) {
  const auto redactor = Of({{"A", "correct horse battery"}});
  EXPECT_EQ(Clean(*redactor, "x correct horse", Redactor::End::kCut), "x [secret A]");
  EXPECT_EQ(Clean(*redactor, "x correct horse"), "x correct horse");
  EXPECT_EQ(Clean(*redactor, "x cor", Redactor::End::kCut), "x cor");
}

TEST(RedactorTest, TextThatIsMarkedAsCutIsLookedAtBeforeTheMark) {
  const auto redactor = Of({{"A", "correct horse battery"}, {"DOTS", "abcdefgh..."}});
  const auto marked = [&redactor](std::string text) {
    redactor->RedactMarked(text);
    return text;
  };
  EXPECT_EQ(marked("x correct horse..."), "x [secret A]...");
  EXPECT_EQ(marked("x correct horse"), "x correct horse");
  EXPECT_EQ(marked("correct horse battery"), "[secret A]");
  EXPECT_EQ(marked("x abcdefgh..."), "x [secret DOTS]...");
  EXPECT_EQ(marked("abcdefgh... y"), "[secret DOTS] y");
  EXPECT_EQ(marked("..."), "...");
}

// What Python 3.11 made of each: repr, repr of bytes, ascii, json.dumps with and without
// ensure_ascii, quote with and without safe, quote_plus.
TEST(RedactorTest, ASecretIsFoundInTheFormsThatProgramsPrint) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> table = {
      {"pass/word+1 =&x",
       {"pass/word+1 =&x", "pass/word%2B1%20%3D%26x", "pass%2Fword%2B1%20%3D%26x",
        "pass%2Fword%2B1+%3D%26x"}},
      {"it's a \"secret\"\\",
       {"it\\'s a \"secret\"\\\\", "it's a \\\"secret\\\"\\\\", "it%27s%20a%20%22secret%22%5C",
        "it%27s+a+%22secret%22%5C"}},
      {"say \"eight\" now",
       {"say \"eight\" now", "say \\\"eight\\\" now", "say%20%22eight%22%20now",
        "say+%22eight%22+now"}},
      {"it's eight now", {"it's eight now", "it%27s%20eight%20now", "it%27s+eight+now"}},
      {"line one\012line two\011and\015three",
       {"line one\\nline two\\tand\\rthree", "line%20one%0Aline%20two%09and%0Dthree",
        "line+one%0Aline+two%09and%0Dthree"}},
      {"\001\010\014\033\177 bytes",
       {"\\x01\\x08\\x0c\\x1b\\x7f bytes", "\\u0001\\b\\f\\u001b\\u007f bytes",
        "\\u0001\\b\\f\\u001b\177 bytes", "%01%08%0C%1B%7F%20bytes", "%01%08%0C%1B%7F+bytes"}},
      {"geheim-\303\274\303\237-\346\227\245\346\234\254",
       {"geheim-\303\274\303\237-\346\227\245\346\234\254",
        "geheim-\\xc3\\xbc\\xc3\\x9f-\\xe6\\x97\\xa5\\xe6\\x9c\\xac",
        "geheim-\\xfc\\xdf-\\u65e5\\u672c", "geheim-\\u00fc\\u00df-\\u65e5\\u672c",
        "geheim-%C3%BC%C3%9F-%E6%97%A5%E6%9C%AC"}},
      {"smile-\360\237\230\200-\302\240\342\200\213\342\200\250",
       {"smile-\360\237\230\200-\\xa0\\u200b\\u2028",
        "smile-\\xf0\\x9f\\x98\\x80-\\xc2\\xa0\\xe2\\x80\\x8b\\xe2\\x80\\xa8",
        "smile-\\U0001f600-\\xa0\\u200b\\u2028", "smile-\\ud83d\\ude00-\\u00a0\\u200b\\u2028",
        "smile-\360\237\230\200-\302\240\342\200\213\342\200\250",
        "smile-%F0%9F%98%80-%C2%A0%E2%80%8B%E2%80%A8"}},
  };
  for (const auto& [value, forms] : table) {
    const auto redactor = Of({{"A", value}});
    for (const std::string& form : forms)
      EXPECT_EQ(Clean(*redactor, "<" + form + ">"), "<[secret A]>") << form;
  }
}

TEST(RedactorTest, FormsTakeABoundedRoom) {
  // Twice as long in a repr, four times as long as bytes.
  const std::string large(30000, '\\');
  const auto redactor = Of({{"LARGE", large}, {"SMALL", "not/well+known"}});
  EXPECT_EQ(Clean(*redactor, large), "[secret LARGE]");
  EXPECT_EQ(Clean(*redactor, "not/well+known"), "[secret SMALL]");
  EXPECT_EQ(Clean(*redactor, std::string(60000, '\\')), "[secret LARGE]");
}

TEST(RedactorTest, ASecretThatBeganBeforeIsReplacedToItsEnd) {
  const auto redactor = Of({{"A", "correct horse battery"}, {"B", "12345678"}});
  const auto after = [&redactor](std::string_view before, std::string text) {
    redactor->Redact(text, Redactor::End::kWhole, before);
    return text;
  };
  EXPECT_EQ(after("x correct ho", "rse battery y"), "[secret A] y");
  EXPECT_EQ(after("x correct horse batter", "y"), "[secret A]");
  EXPECT_EQ(after("x correct horse battery", " y 12345678"), " y [secret B]");
  EXPECT_EQ(after("x correct horse", "rse battery"), "rse battery");
  EXPECT_EQ(after("123", ""), "");
  EXPECT_EQ(after("123", "4567812345678"), "[secret B][secret B]");
  std::string middle = "horse ";
  EXPECT_TRUE(redactor->Redact(middle, Redactor::End::kCut, "correct "));
  EXPECT_EQ(middle, "[secret A]") << "it may go on behind as well";
}

// The same as a search for one secret after the other.
TEST(RedactorTest, NothingThatAPlainSearchFindsIsMissed) {
  std::mt19937 random(7);
  const auto letters = [&random](std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i)
      text += static_cast<char>('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> values;
    for (int i = 0; i < 4; ++i)
      values.push_back(letters(8 + random() % 6));
    const auto redactor =
        Of({{"A", values[0]}, {"B", values[1]}, {"C", values[2]}, {"D", values[3]}});
    const std::string text = letters(200);
    std::string covered(text.size(), '.');
    for (const std::string& value : values)
      for (std::size_t at = text.find(value); at != std::string::npos;
           at = text.find(value, at + 1))
        covered.replace(at, value.size(), std::string(value.size(), '#'));
    std::string outside;
    for (std::size_t i = 0; i < text.size(); ++i)
      if (covered[i] == '.')
        outside += text[i];
    std::string clean = Clean(*redactor, text);
    for (std::size_t at = clean.find("[secret "); at != std::string::npos;
         at = clean.find("[secret "))
      clean.erase(at, 10);
    EXPECT_EQ(clean, outside);
  }
}

TEST(RedactorTest, AnEventIsRedactedInAllItsParts) {
  const auto redactor = Of({{"A", "secret-one"}, {"N", "12345678"}});
  LogEvent event;
  event.bytes = "said secret-one";
  event.logger = "by secret-one";
  event.fields = EncodeEventFields({{.name = "plain", .value = std::string_view("fine")},
                                    {.name = "secret-one", .value = true},
                                    {.name = "text", .value = std::string_view("=secret-one")},
                                    {.name = "number", .value = std::int64_t{12345678}}});
  event.secrets = std::make_shared<const Redactors>(Redactors{redactor});
  RedactEvent(event);
  EXPECT_TRUE(event.redacted);
  EXPECT_EQ(event.secrets, nullptr);
  EXPECT_EQ(event.bytes, "said [secret A]");
  EXPECT_EQ(event.logger, "by [secret A]");
  EXPECT_THAT(event.fields, Not(HasSubstr("secret-one")));
  const auto fields = ReadEventFields(event.fields).value();
  EXPECT_EQ(std::get<std::string_view>(fields[0].value), "fine");
  EXPECT_EQ(fields[1].name, "[secret A]");
  EXPECT_EQ(std::get<std::string_view>(fields[2].value), "=[secret A]");
  EXPECT_EQ(std::get<std::string_view>(fields[3].value), "[secret N]");
}

TEST(RedactorTest, WhatASecretBeginsWithIsNoneInAWholeEvent) {
  const auto redactor = Of({{"URL", "postgres://me:pass@db"}, {"N", "12345678"}});
  LogEvent event;
  event.bytes = "on postgres";
  event.logger = "app.postgres";
  event.fields = EncodeEventFields({{.name = "postgres", .value = std::string_view("postgres")},
                                    {.name = "port", .value = std::int64_t{1234}}});
  const std::string fields = event.fields;
  event.secrets = std::make_shared<const Redactors>(Redactors{redactor});
  RedactEvent(event);
  EXPECT_FALSE(event.redacted);
  EXPECT_EQ(event.bytes, "on postgres");
  EXPECT_EQ(event.logger, "app.postgres");
  EXPECT_EQ(event.fields, fields);
}

TEST(RedactorTest, WhatIsLeftOfASecretInPartsThatWereCutGoesToo) {
  const auto redactor = Of({{"URL", "postgres://me:pass@db"}});
  LogEvent event;
  event.bytes = "on postgres://me";
  event.cut = true;
  event.logger = std::string(kLoggerMax - 8, 'a') + "postgres";
  event.fields =
      EncodeEventFields({{.name = "postgres://...", .value = std::string_view("to postgres:...")}});
  event.secrets = std::make_shared<const Redactors>(Redactors{redactor});
  RedactEvent(event);
  EXPECT_EQ(event.bytes, "on [secret URL]");
  EXPECT_EQ(event.logger, std::string(kLoggerMax - 8, 'a') + "[secret URL]");
  const auto fields = ReadEventFields(event.fields).value();
  EXPECT_EQ(fields[0].name, "[secret URL]...");
  EXPECT_EQ(std::get<std::string_view>(fields[0].value), "to [secret URL]...");
}

TEST(RedactorTest, AnEventWithoutASecretStaysAsItIs) {
  LogEvent event;
  event.bytes = "nothing to see";
  event.secrets = std::make_shared<const Redactors>(Redactors{Of({{"A", "secret-one"}})});
  RedactEvent(event);
  EXPECT_FALSE(event.redacted);
  EXPECT_EQ(event.bytes, "nothing to see");
}

}  // namespace
}  // namespace cloister
