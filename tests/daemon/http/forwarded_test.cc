#include "daemon/http/forwarded.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace cloister {
namespace {

using Headers = std::vector<HttpHeader>;

// The peer is 10.0.0.1; 10.0.0.0/8, 127.0.0.1 and fd00::/8 are trusted.
std::string Read(const Headers& headers) {
  const std::array trusted = {IpNetwork::Parse("10.0.0.0/8").value(),
                              IpNetwork::Parse("127.0.0.1").value(),
                              IpNetwork::Parse("fd00::/8").value()};
  const ForwardedClient client =
      ReadForwarded(headers, IpAddress::Parse("10.0.0.1").value_or(IpAddress()), trusted);
  std::string text = client.address.Text();
  if (client.port != 0)
    text += " port " + std::to_string(client.port);
  if (!client.scheme.empty())
    text += " " + std::string(client.scheme);
  return text;
}

struct Case {
  Headers headers;
  const char* client;
};

TEST(ForwardedTest, XForwardedForIsReadFromItsEnd) {
  const Case kCases[] = {
      {{}, "10.0.0.1"},
      {{{"x-forwarded-for", "203.0.113.9"}}, "203.0.113.9"},
      {{{"x-forwarded-for", "203.0.113.9, 10.0.0.2"}}, "203.0.113.9"},
      {{{"x-forwarded-for", "6.6.6.6, 203.0.113.9"}}, "203.0.113.9"},
      {{{"x-forwarded-for", "6.6.6.6,203.0.113.9 ,\t10.9.9.9, 127.0.0.1"}}, "203.0.113.9"},
      {{{"x-forwarded-for", "6.6.6.6"}, {"x-forwarded-for", "203.0.113.9"}}, "203.0.113.9"},
      {{{"x-forwarded-for", "203.0.113.9"}, {"x-forwarded-for", "10.0.0.2"}}, "203.0.113.9"},
      {{{"x-forwarded-for", "10.0.0.3, 10.0.0.2"}}, "10.0.0.3"},
      {{{"x-forwarded-for", "2001:db8::1, fd00::2"}}, "2001:db8::1"},
      {{{"x-forwarded-for", "::ffff:203.0.113.9, ::ffff:10.0.0.2"}}, "203.0.113.9"},
      {{{"x-forwarded-for", "203.0.113.9:4711"}}, "203.0.113.9 port 4711"},
      {{{"x-forwarded-for", "[2001:db8::1]:4711"}}, "2001:db8::1 port 4711"},
      {{{"x-forwarded-for", "[2001:db8::1]"}}, "2001:db8::1"},
      {{{"x-forwarded-for", "203.0.113.9:99999"}}, "203.0.113.9"},
  };
  for (const Case& row : kCases)
    EXPECT_EQ(Read(row.headers), row.client) << (row.headers.empty() ? "" : row.headers[0].value);
}

TEST(ForwardedTest, WhatCannotBeReadEndsTheReading) {
  const Case kCases[] = {
      {{{"x-forwarded-for", ""}}, "10.0.0.1"},
      {{{"x-forwarded-for", "unknown"}}, "10.0.0.1"},
      {{{"x-forwarded-for", "203.0.113.9, unknown"}}, "10.0.0.1"},
      {{{"x-forwarded-for", "203.0.113.9, , 10.0.0.2"}}, "10.0.0.2"},
      {{{"x-forwarded-for", "203.0.113.9, <script>, 10.0.0.2"}}, "10.0.0.2"},
      {{{"x-forwarded-for", "[::1"}}, "10.0.0.1"},
      {{{"x-forwarded-for", "[::1]x"}}, "10.0.0.1"},
      {{{"x-forwarded-for", "203.0.113.9,"}}, "10.0.0.1"},
      {{{"x-forwarded-for", "1.2.3"}}, "10.0.0.1"},
  };
  for (const Case& row : kCases)
    EXPECT_EQ(Read(row.headers), row.client) << row.headers[0].value;
}

TEST(ForwardedTest, XForwardedProtoIsTheScheme) {
  const Case kCases[] = {
      {{{"x-forwarded-proto", "https"}}, "10.0.0.1 https"},
      {{{"x-forwarded-proto", "HTTPS"}}, "10.0.0.1 https"},
      {{{"x-forwarded-proto", "http"}}, "10.0.0.1 http"},
      {{{"x-forwarded-proto", "ftp"}}, "10.0.0.1"},
      {{{"x-forwarded-proto", "https\"evil"}}, "10.0.0.1"},
      {{{"x-forwarded-proto", ""}}, "10.0.0.1"},
      {{{"x-forwarded-for", "203.0.113.9, 10.0.0.2"}, {"x-forwarded-proto", "https"}},
       "203.0.113.9 https"},
      // A list as long as that of the addresses: each hop's own word.
      {{{"x-forwarded-for", "203.0.113.9, 10.0.0.2"}, {"x-forwarded-proto", "https, http"}},
       "203.0.113.9 https"},
      {{{"x-forwarded-for", "6.6.6.6, 203.0.113.9"}, {"x-forwarded-proto", "https, http"}},
       "203.0.113.9 http"},
      // Any other: the nearest proxy's.
      {{{"x-forwarded-for", "203.0.113.9"}, {"x-forwarded-proto", "https, http"}},
       "203.0.113.9 http"},
  };
  for (const Case& row : kCases)
    EXPECT_EQ(Read(row.headers), row.client) << row.headers.back().value;
}

TEST(ForwardedTest, ForwardedOfRfc7239) {
  const Case kCases[] = {
      {{{"forwarded", "for=203.0.113.9;proto=https;by=10.0.0.1"}}, "203.0.113.9 https"},
      {{{"forwarded", "For=\"[2001:db8::1]:4711\""}}, "2001:db8::1 port 4711"},
      {{{"forwarded", "for=6.6.6.6;proto=http, for=203.0.113.9;proto=https, for=10.0.0.2"}},
       "203.0.113.9 https"},
      {{{"forwarded", "for=6.6.6.6"}, {"forwarded", "proto=HTTPS;for=\"203.0.113.9\""}},
       "203.0.113.9 https"},
      {{{"forwarded", "proto=https"}}, "10.0.0.1 https"},
      {{{"forwarded", "for=unknown;proto=https"}}, "10.0.0.1 https"},
      {{{"forwarded", "for=203.0.113.9, for=_hidden"}}, "10.0.0.1"},
      {{{"forwarded", " ; for = 203.0.113.9"}}, "10.0.0.1"},
      {{{"forwarded", "host=\"a,b;c=\\\"\";for=203.0.113.9"}}, "203.0.113.9"},
      {{{"forwarded", "for=\"203.0.113.9"}}, "10.0.0.1"},
      {{{"forwarded", "for=203.0.113.9;proto=https, for="}}, "10.0.0.1"},
      {{{"forwarded", "for=\"203.0.113.9\\"}}, "10.0.0.1"},
      {{{"forwarded", ""}}, "10.0.0.1"},
  };
  for (const Case& row : kCases)
    EXPECT_EQ(Read(row.headers), row.client) << row.headers.back().value;
}

TEST(ForwardedTest, XForwardedComesBeforeForwarded) {
  EXPECT_EQ(Read({{"forwarded", "for=6.6.6.6;proto=https"}, {"x-forwarded-for", "203.0.113.9"}}),
            "203.0.113.9");
  EXPECT_EQ(Read({{"forwarded", "for=6.6.6.6;proto=https"}, {"x-forwarded-proto", "http"}}),
            "10.0.0.1 http");
}

TEST(ForwardedTest, AListIsReadFromItsEndOnlySoFar) {
  std::string list = "203.0.113.9";
  for (int i = 0; i < 255; ++i)
    list += ",10.0.0.2";
  EXPECT_EQ(Read({{"x-forwarded-for", list}}), "203.0.113.9");
  EXPECT_EQ(Read({{"x-forwarded-for", list + ",10.0.0.2"}}), "10.0.0.2");
}

TEST(ForwardedTest, HeadersThatSpeakForAnother) {
  for (const char* name :
       {"forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
        "x-forwarded-prefix", "x-real-ip", "true-client-ip", "cf-connecting-ip"})
    EXPECT_TRUE(IsForwardingHeader(name)) << name;
  for (const char* name : {"host", "forward", "x-forwarded", "via", "x-request-id"})
    EXPECT_FALSE(IsForwardingHeader(name)) << name;
  EXPECT_TRUE(IsProxyHeader("proxy"));
  EXPECT_FALSE(IsProxyHeader("proxy-authorization"));
}

}  // namespace
}  // namespace cloister
