#include "apis/query/packets.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cloister {
namespace {

using std::string_literals::operator""s;

std::string Statement(bool many, bool named, std::uint32_t sets) {
  std::string bytes;
  WireWriter out(bytes);
  out.U64(9);
  out.U8(static_cast<std::uint8_t>(QueryBegin::kImmediate));
  out.U8(kQueryForeignKeys);
  out.U8(many ? 1 : 0);
  out.U64(5);
  out.Str32("INSERT");
  out.U8(named ? 1 : 0);
  out.U32(sets);
  for (std::uint32_t i = 0; i < sets; ++i) {
    out.U32(2);
    if (named)
      out.Str16("a");
    out.U8(static_cast<std::uint8_t>(QueryValueType::kText));
    out.Str32("text");
    if (named)
      out.Str16("b");
    out.U8(static_cast<std::uint8_t>(QueryValueType::kNull));
  }
  return bytes;
}

TEST(QueryPacketsTest, APacketComesBackAsItWas) {
  const std::string bytes = EncodeQueryPacket({.type = QueryPacketType::kStatement,
                                               .flags = kQueryMore,
                                               .epoch = 3,
                                               .id = 4,
                                               .piece = "piece"});
  EXPECT_EQ("\x01\x01\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00piece"s, bytes);
  const auto packet = ParseQueryPacket(bytes);
  ASSERT_TRUE(packet.ok());
  EXPECT_EQ(QueryPacketType::kStatement, packet.value().type);
  EXPECT_EQ(kQueryMore, packet.value().flags);
  EXPECT_EQ(3U, packet.value().epoch);
  EXPECT_EQ(4U, packet.value().id);
  EXPECT_EQ("piece", packet.value().piece);
}

TEST(QueryPacketsTest, WhatIsNeverSentIsRefused) {
  const std::string good = EncodeQueryPacket({});
  EXPECT_TRUE(ParseQueryPacket(good).ok());
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(ParseQueryPacket(good.substr(0, size)).ok()) << size;
  const std::pair<std::size_t, char> spoiled[] = {{0, '\0'}, {0, '\4'}, {1, '\2'}, {2, '\1'}};
  for (const auto& [place, byte] : spoiled) {
    std::string bad = good;
    bad[place] = byte;
    EXPECT_FALSE(ParseQueryPacket(bad).ok()) << place;
  }
  EXPECT_TRUE(ParseQueryPacket(good + std::string(kQueryPieceMax, 'x')).ok());
  EXPECT_FALSE(ParseQueryPacket(good + std::string(kQueryPieceMax + 1, 'x')).ok());
}

TEST(QueryPacketsTest, AStatementIsDecoded) {
  const std::string bytes = Statement(true, true, 2);
  const auto decoded = QueryStatement::Decode(bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(9U, decoded.value().session);
  EXPECT_EQ(QueryBegin::kImmediate, decoded.value().begin);
  EXPECT_EQ(kQueryForeignKeys, decoded.value().flags);
  EXPECT_EQ(5, decoded.value().last_row_id);
  EXPECT_EQ("INSERT", decoded.value().sql);
  QueryParameters parameters(decoded.value());
  std::vector<QueryParameters::Parameter> set;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(parameters.Next(set));
    ASSERT_EQ(2U, set.size());
    EXPECT_EQ("a", set[0].name);
    EXPECT_EQ("text", set[0].value.bytes);
    EXPECT_EQ(QueryValueType::kNull, set[1].value.type);
  }
}

TEST(QueryPacketsTest, EveryTruncationOfAStatementIsRefused) {
  for (const bool named : {false, true}) {
    const std::string bytes = Statement(true, named, 3);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(QueryStatement::Decode(bytes.substr(0, size)).ok()) << size;
    EXPECT_FALSE(QueryStatement::Decode(bytes + "x").ok());
  }
}

TEST(QueryPacketsTest, StatementsThatNoWorkerSendsAreRefused) {
  EXPECT_TRUE(QueryStatement::Decode(Statement(false, false, 1)).ok());
  EXPECT_FALSE(QueryStatement::Decode(Statement(false, false, 2)).ok()) << "two sets, and not many";
  EXPECT_TRUE(QueryStatement::Decode(Statement(true, false, 0)).ok());
  const std::pair<std::size_t, char> spoiled[] = {{8, '\4'}, {9, '\10'}, {10, '\2'}};
  for (const auto& [place, byte] : spoiled) {
    std::string bad = Statement(false, false, 1);
    bad[place] = byte;
    EXPECT_FALSE(QueryStatement::Decode(bad).ok()) << place;
  }
  // Very many sets that are not there cost nothing.
  std::string endless = Statement(true, false, 0);
  endless.replace(endless.size() - 4, 4, "\xff\xff\xff\xff");
  EXPECT_FALSE(QueryStatement::Decode(endless).ok());
}

// One set of so many parameters without names.
std::string WithParameters(std::uint32_t count) {
  std::string bytes = Statement(false, false, 0);
  bytes.resize(bytes.size() - 4);
  WireWriter out(bytes);
  out.U32(1);
  out.U32(count);
  bytes.append(count, static_cast<char>(QueryValueType::kNull));
  return bytes;
}

TEST(QueryPacketsTest, ASetHasSoManyParametersAtMost) {
  for (const std::uint32_t count : {kQueryParametersMax, kQueryParametersMax + 1}) {
    const std::string bytes = WithParameters(count);
    const auto decoded = QueryStatement::Decode(bytes);
    ASSERT_TRUE(decoded.ok());
    QueryParameters parameters(decoded.value());
    std::vector<QueryParameters::Parameter> set;
    EXPECT_EQ(count == kQueryParametersMax, parameters.Next(set));
    EXPECT_EQ(count == kQueryParametersMax ? count : 0, set.size());
  }
}

TEST(QueryPacketsTest, UseComesBackAsItWas) {
  QueryUse use;
  use.bytes = 1;
  use.statements = 2;
  use.refused_result = 3;
  use.damaged = 4;
  const auto decoded = QueryUse::Decode(use.Encode());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(use, decoded.value());
  EXPECT_FALSE(QueryUse::Decode(use.Encode() + "x").ok());
  EXPECT_FALSE(QueryUse::Decode(use.Encode().substr(1)).ok());
}

}  // namespace
}  // namespace cloister
