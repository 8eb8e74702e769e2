#include "daemon/statics/content_coding.h"

#include <gtest/gtest.h>

#include <vector>

namespace cloister {
namespace {

struct Wanted {
  int br = 0;
  int gzip = 0;
  int identity = 0;
  bool operator==(const Wanted&) const = default;
};

Wanted Read(const std::vector<HttpHeader>& headers) {
  const AcceptedCodings accepted = AcceptedCodings::Of(headers);
  return {.br = accepted.QualityOf("br"),
          .gzip = accepted.QualityOf("gzip"),
          .identity = accepted.identity()};
}
Wanted Read(std::string_view value) {
  return Read({{.name = "accept-encoding", .value = value}});
}

TEST(ContentCodingTest, QualitiesAreThousandths) {
  EXPECT_EQ(Read("gzip, br"), (Wanted{1000, 1000, 1}));
  EXPECT_EQ(Read("gzip;q=0.5, br;q=0.125"), (Wanted{125, 500, 1}));
  EXPECT_EQ(Read("GZIP ; Q = 1.000 ,\tbr;q=0"), (Wanted{0, 1000, 1}));
  EXPECT_EQ(Read("x-gzip"), (Wanted{0, 1000, 1}));
  EXPECT_EQ(Read("deflate, zstd"), (Wanted{0, 0, 1}));
  EXPECT_EQ(Read("identity, gzip;q=0.5"), (Wanted{0, 500, 1000}));
  EXPECT_EQ(Read("identity;q=0, gzip"), (Wanted{0, 1000, 0}));
}

TEST(ContentCodingTest, AStarIsAllThatAreNotNamed) {
  EXPECT_EQ(Read("*"), (Wanted{1000, 1000, 1}));
  EXPECT_EQ(Read("*;q=0.3, br;q=0"), (Wanted{0, 300, 1}));
  EXPECT_EQ(Read("*;q=0"), (Wanted{0, 0, 0}));
  EXPECT_EQ(Read("*;q=0, identity"), (Wanted{0, 0, 1000}));
}

TEST(ContentCodingTest, WithoutTheHeaderOnlyThePlainFormIsWanted) {
  EXPECT_EQ(Read(std::vector<HttpHeader>{}), (Wanted{0, 0, 1}));
  EXPECT_EQ(Read({{.name = "accept", .value = "gzip"}}), (Wanted{0, 0, 1}));
  EXPECT_EQ(Read(""), (Wanted{0, 0, 1}));
}

TEST(ContentCodingTest, SeveralHeadersAreOneList) {
  EXPECT_EQ(Read({{.name = "accept-encoding", .value = "gzip"},
                  {.name = "accept-encoding", .value = "br;q=0.5"}}),
            (Wanted{500, 1000, 1}));
}

TEST(ContentCodingTest, WhatCannotBeReadIsNotThere) {
  for (const char* broken :
       {"gzip;q=", "gzip;q=2", "gzip;q=1.001", "gzip;q=0.1234", "gzip;q=.5", "gzip;q=-1",
        "gzip;x=1", "gzip;q", "gzip;;q=1", "gzip;q=1;q=0", ";q=1", ",,;,", "gzip br", "gzip;q=0x1"})
    EXPECT_EQ(Read(broken), (Wanted{0, 0, 1})) << broken;
  EXPECT_EQ(Read("gzip;q=2, br"), (Wanted{1000, 0, 1}));
}

}  // namespace
}  // namespace cloister
