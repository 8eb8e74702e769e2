#include "daemon/http/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cloister {
namespace {

using testing::HasSubstr;
using std::string_view_literals::operator""sv;

TEST(CheckResponseHeadersTest, WhatMayBeSent) {
  const std::vector<HttpHeader> headers = {{.name = "Content-Type", .value = "text/plain"},
                                           {.name = "Set-Cookie", .value = "a=b"},
                                           {.name = "Set-Cookie", .value = "c=d"},
                                           {.name = "X-Empty", .value = ""},
                                           {.name = "X-Latin", .value = "\xe4\tb"}};
  const auto checked = CheckResponseHeaders(200, "OK", headers);
  ASSERT_TRUE(checked.ok()) << checked.error().message;
  EXPECT_FALSE(checked.value().has_value());
}

TEST(CheckResponseHeadersTest, WhatMayNot) {
  struct Row {
    HttpHeader header;
    const char* why;
  };
  const std::vector<Row> rows = {
      {{.name = "", .value = "a"}, "not a token"},
      {{.name = "X Y", .value = "a"}, "not a token"},
      {{.name = "X:", .value = "a"}, "not a token"},
      {{.name = "X\r\nY", .value = "a"}, "not a token"},
      {{.name = "X\xe4", .value = "a"}, "not a token"},
      {{.name = "X", .value = "a\r\nY: b"}, "control character"},
      {{.name = "X", .value = "a\nb"}, "control character"},
      {{.name = "X", .value = "a\rb"}, "control character"},
      {{.name = "X", .value = "a\0b"sv}, "control character"},
      {{.name = "X", .value = "a\x7f"}, "control character"},
      {{.name = "Connection", .value = "close"}, "hop-by-hop"},
      {{.name = "keep-alive", .value = "1"}, "hop-by-hop"},
      {{.name = "TRANSFER-ENCODING", .value = "chunked"}, "hop-by-hop"},
      {{.name = "Upgrade", .value = "h2c"}, "hop-by-hop"},
      {{.name = "Trailer", .value = "X"}, "hop-by-hop"},
      {{.name = "TE", .value = "trailers"}, "hop-by-hop"},
      {{.name = "Proxy-Authenticate", .value = "x"}, "hop-by-hop"},
      {{.name = "Content-Length", .value = "5, 5"}, "not a number"},
      {{.name = "Content-Length", .value = "-1"}, "not a number"},
      {{.name = "Content-Length", .value = ""}, "not a number"},
      {{.name = "Content-Length", .value = "99999999999999999999"}, "not a number"},
  };
  for (const Row& row : rows) {
    const auto checked = CheckResponseHeaders(200, "", std::span(&row.header, 1));
    ASSERT_FALSE(checked.ok()) << row.header.name;
    EXPECT_THAT(checked.error().message, HasSubstr(row.why)) << row.header.name;
  }
}

TEST(CheckResponseHeadersTest, ContentLengthIsGivenBack) {
  const std::vector<HttpHeader> same = {{.name = "Content-Length", .value = "5"},
                                        {.name = "content-length", .value = "5"}};
  EXPECT_EQ(5u, CheckResponseHeaders(200, "", same).value());
  const std::vector<HttpHeader> other = {{.name = "Content-Length", .value = "5"},
                                         {.name = "content-length", .value = "6"}};
  EXPECT_FALSE(CheckResponseHeaders(200, "", other).ok());
}

TEST(CheckResponseHeadersTest, StatusAndReason) {
  for (const int status : {200, 204, 599})
    EXPECT_TRUE(CheckResponseHeaders(status, "Fine", {}).ok()) << status;
  for (const int status : {-1, 0, 100, 199, 600, 1000})
    EXPECT_FALSE(CheckResponseHeaders(status, "", {}).ok()) << status;
  EXPECT_TRUE(CheckResponseHeaders(200, std::string(128, 'x'), {}).ok());
  EXPECT_FALSE(CheckResponseHeaders(200, std::string(129, 'x'), {}).ok());
  EXPECT_FALSE(CheckResponseHeaders(200, "OK\r\nX: y", {}).ok());
}

TEST(ProblemTest, IsJsonWithEverythingEscaped) {
  EXPECT_EQ(
      "{\"type\":\"docs/errors.md#some_code\",\"title\":\"Not Found\",\"status\":404,"
      "\"detail\":\"a \\\"b\\\" \\\\ \\u0001\\n\",\"code\":\"some_code\",\"request_id\":\"01X\"}\n",
      ProblemJson(404, "some_code", "a \"b\" \\ \x01\n", "01X"));
  EXPECT_THAT(ProblemJson(404, "c", "d", ""), testing::Not(HasSubstr("request_id")));
}

TEST(ProblemTest, KeepsUtf8AndEscapesWhatIsNot) {
  EXPECT_THAT(ProblemJson(400, "c", "f\xc3\xbcr", ""), HasSubstr("f\xc3\xbcr"));
  EXPECT_THAT(ProblemJson(400, "c", "f\xfcr", ""), HasSubstr("f\\u00fcr"));
}

TEST(ReasonPhraseTest, KnowsTheUsualOnes) {
  EXPECT_EQ("OK", ReasonPhrase(200));
  EXPECT_EQ("Continue", ReasonPhrase(100));
  EXPECT_EQ("Insufficient Storage", ReasonPhrase(507));
  EXPECT_EQ("Unknown", ReasonPhrase(299));
  EXPECT_EQ("Unknown", ReasonPhrase(599));
}

}  // namespace
}  // namespace cloister
