#include "sandbox/query/mariadb/tokens.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cloister {
namespace {

using Texts = std::vector<std::string>;

Texts TextsOf(std::string_view sql) {
  MyTokens tokens(sql);
  Texts texts;
  while (const auto token = tokens.Next())
    texts.emplace_back(token->text);
  return texts;
}

TEST(MyTokensTest, QuotesHoldWhatTheyHold) {
  EXPECT_EQ((Texts{"SELECT", "'it''s'", ",", "\"a\"\"b\"", ",", "`c``;`"}),
            TextsOf("SELECT 'it''s', \"a\"\"b\", `c``;`"));
  // A backslash is one.
  EXPECT_EQ((Texts{"'a\\'", "INTO"}), TextsOf("'a\\' INTO"));
  EXPECT_EQ((Texts{"'never closed; x"}), TextsOf("'never closed; x"));
}

TEST(MyTokensTest, CommentsAreNoTokens) {
  EXPECT_EQ((Texts{"a", "b"}), TextsOf("a -- x\nb # y"));
  EXPECT_EQ((Texts{"a", "b"}), TextsOf("a/* x /* y */b"));
  EXPECT_EQ((Texts{"a", "-", "-", "1"}), TextsOf("a--1"));
  EXPECT_EQ(Texts{}, TextsOf("/* never closed"));
  EXPECT_EQ(Texts{}, TextsOf("--"));
}

TEST(MyTokensTest, CommentsThatTheServerRunsAreTold) {
  for (const char* sql : {"/*! x */", "/*M! x */", "/*m!100100 x */", "/*!50000 x */"}) {
    MyTokens tokens(sql);
    EXPECT_EQ(MyToken::Kind::kExecutable, tokens.Next()->kind) << sql;
  }
  EXPECT_EQ((Texts{"'/*! x */'"}), TextsOf("'/*! x */'"));
  EXPECT_EQ((Texts{"a", "/*!", "b", "*", "/"}), TextsOf("a /* x *//*!b*/"));
}

TEST(MyTokensTest, WordsLoseTheirQuotes) {
  EXPECT_EQ("GET_LOCK", MyTokens("`get_lock`").Next()->word());
  EXPECT_EQ("A\"B", MyTokens("\"a\"\"b\"").Next()->word());
  EXPECT_EQ("", MyTokens("`").Next()->word());
}

}  // namespace
}  // namespace cloister
