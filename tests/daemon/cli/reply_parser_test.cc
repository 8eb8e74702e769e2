#include "daemon/cli/reply_parser.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

constexpr std::string_view kLength =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello";
constexpr std::string_view kChunked =
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 422 No\r\ntransfer-encoding: Chunked\r\n\r\n"
    "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n";

TEST(ReplyParserTest, EveryWayOfCuttingGivesTheSame) {
  for (const std::string_view bytes : {kLength, kChunked})
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      ReplyParser parser;
      ASSERT_TRUE(parser.Feed(bytes.substr(0, cut)).ok()) << cut;
      EXPECT_EQ(parser.done(), cut == bytes.size());
      ASSERT_TRUE(parser.Feed(bytes.substr(cut)).ok()) << cut;
      ASSERT_TRUE(parser.done());
      EXPECT_TRUE(parser.keep_alive());
      EXPECT_EQ(parser.TakeReply().body, "hello");
    }
}

TEST(ReplyParserTest, ABodyMayEndWithTheConnection) {
  ReplyParser parser;
  ASSERT_TRUE(parser.Feed("HTTP/1.1 200 OK\r\n\r\nall of it").ok());
  EXPECT_FALSE(parser.done());
  ASSERT_TRUE(parser.FeedEnd().ok());
  EXPECT_FALSE(parser.keep_alive());
  EXPECT_EQ(parser.TakeReply().body, "all of it");
}

TEST(ReplyParserTest, NoBodyWith204And304) {
  for (const char* status : {"204", "304"}) {
    ReplyParser parser;
    ASSERT_TRUE(parser.Feed("HTTP/1.1 " + std::string(status) + " X\r\n\r\n").ok());
    EXPECT_TRUE(parser.done());
  }
}

TEST(ReplyParserTest, AnEndInTheMiddleIsAnError) {
  for (std::size_t cut = 0; cut < kLength.size(); ++cut) {
    ReplyParser parser;
    ASSERT_TRUE(parser.Feed(kLength.substr(0, cut)).ok());
    EXPECT_FALSE(parser.FeedEnd().ok()) << cut;
  }
}

TEST(ReplyParserTest, WhatIsNotHttpIsRefused) {
  const std::string huge(ReplyParser::kHeadMax + 1, 'x');
  const std::string bad[] = {
      "HTTP/2.0 200 OK\r\n\r\n",
      "hello\r\n\r\n",
      "HTTP/1.1 2x0 OK\r\n\r\n",
      "HTTP/1.1 999 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore",
      "HTTP/1.1 200 OK\r\nX: " + huge + "\r\n\r\n",
      huge,
  };
  for (const std::string& bytes : bad) {
    ReplyParser parser;
    EXPECT_FALSE(parser.Feed(bytes).ok()) << bytes.substr(0, 80);
  }
}

}  // namespace
}  // namespace cloister
