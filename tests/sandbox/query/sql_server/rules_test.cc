#include "sandbox/query/sql_server/rules.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

constexpr SqlRule kRules[] = {{"SET", {.refusal = "no"}},
                              {"SET LOCAL", {.effect = SqlEffect::kTransaction}},
                              {"DROP TABLE", {.effect = SqlEffect::kChanges, .commits = true}}};

TEST(RulingByWordsTest, TheRuleWithTheMostWordsDecides) {
  EXPECT_NE(nullptr, RulingByWords(kRules, {"SET", "X"}).refusal);
  EXPECT_EQ(nullptr, RulingByWords(kRules, {"SET", "LOCAL", "X"}).refusal);
  EXPECT_TRUE(RulingByWords(kRules, {"DROP", "TABLE", "T"}).commits);
}

TEST(RulingByWordsTest, WhatHasNoRuleIsRefusedAndNothingIsNot) {
  EXPECT_NE(nullptr, RulingByWords(kRules, {"DROP"}).refusal);
  EXPECT_NE(nullptr, RulingByWords(kRules, {"DROP", "TABLES"}).refusal);
  EXPECT_EQ(nullptr, RulingByWords(kRules, {}).refusal);
}

TEST(MentionsWordTest, CaseDoesNotMatter) {
  EXPECT_TRUE(MentionsWord("insert into t returning a", "RETURNING"));
  EXPECT_FALSE(MentionsWord("insert into t", "RETURNING"));
}

TEST(IsSqliteBeginTest, ItHasOneOfSqlitesWords) {
  EXPECT_TRUE(IsSqliteBegin({"BEGIN", "IMMEDIATE"}));
  EXPECT_FALSE(IsSqliteBegin({"BEGIN", "WORK"}));
  EXPECT_FALSE(IsSqliteBegin({"BEGIN"}));
}

}  // namespace
}  // namespace cloister
