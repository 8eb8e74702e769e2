// What the node asks of the runtime itself: answered without the app, within the same bounds.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kApp = R"(
def application(environ, start_response):
    print('asked', environ['PATH_INFO'])
    start_response('200 OK', [])
    return [b'of the app']
)";

TestRequest Match(const std::string& pattern, const std::string& body) {
  return {.method = "POST",
          .target = "match",
          .headers = {{"pattern", pattern}},
          .body = body,
          .for_runtime = true};
}

TEST(FunctionsTest, MatchSaysWhetherThePatternIsFound) {
  const auto node = Serve(kApp);
  const std::tuple<std::string, std::string, std::string> rows[] = {
      {"b+", "abbc", "1"},      {"^b", "abbc", "0"},
      {"(?m)^b", "a\nbc", "1"}, {"gr\u00fc.$", "gr\u00fc\u00df", "1"},
      {"^.$", "\xff", "1"},     {"a\nb", "a\nb", "1"},
      {"x", "", "0"},           {"", "", "1"},
  };
  for (const auto& [pattern, body, found] : rows) {
    const ReceivedResponse response = node->Ask(Match(pattern, body));
    EXPECT_EQ(response.status, 200) << pattern;
    EXPECT_EQ(response.body, found) << pattern;
    EXPECT_EQ(response.frames, 1) << pattern;
  }
  EXPECT_THAT(node->LogText(), IsEmpty()) << "the app was asked";
}

TEST(FunctionsTest, MatchSaysWhatIsWrongWithAPattern) {
  const auto node = Serve(kApp);
  const ReceivedResponse response = node->Ask(Match("a(b", "ab"));
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(response.body, "missing ), unterminated subpattern at position 1");
  EXPECT_EQ(node->Ask(Match("x{99999999999999999999}", "")).status, 422);
  EXPECT_EQ(node->Ask(Match(std::string(2000, '(') + std::string(2000, ')'), "")).status, 422);
  EXPECT_THAT(node->LogText(), IsEmpty());
}

TEST(FunctionsTest, ALargeBodyIsSearchedToItsEnd) {
  const auto node = Serve(kApp);
  EXPECT_EQ(node->Ask(Match("end$", std::string(1024UL * 1024, 'x') + "end")).body, "1");
}

TEST(FunctionsTest, APatternThatNeverEndsIsInterrupted) {
  const auto node = Serve(kApp);
  TestRequest request = Match("(a+)+$", std::string(64, 'a') + "b");
  request.wall_ms = 1;
  const std::uint32_t id = node->Send(request);
  node->Interrupt();
  EXPECT_EQ(node->WaitResponse(id).status, 504);
  EXPECT_THAT(node->LogText(), HasSubstr("WallTimeExceeded"));
  EXPECT_EQ(node->Ask(Match("a", "a")).body, "1");
}

TEST(FunctionsTest, WhatTheAppReplacesIsItsOwn) {
  const auto node = Serve(Files{{"hello.py", std::string("import re\n") + kApp},
                                {"re.py", "def compile(pattern): raise SystemError"}});
  EXPECT_EQ(node->Ask(Match("b", "abc")).body, "1");
}

TEST(FunctionsTest, TheSamePathWithoutTheFlagIsTheApps) {
  const auto node = Serve(kApp);
  TestRequest request = Match("b", "abc");
  request.for_runtime = false;
  EXPECT_EQ(node->Ask(request).body, "of the app");
  EXPECT_EQ(node->LogText(), "asked match\n");
}

TEST(FunctionsTest, AFunctionThatIsNotThereIsNotFound) {
  const auto node = Serve(kApp);
  EXPECT_EQ(node->Ask({.target = "/match", .for_runtime = true}).status, 404);
  EXPECT_THAT(node->LogText(), IsEmpty());
}

}  // namespace
}  // namespace cloister::testing
