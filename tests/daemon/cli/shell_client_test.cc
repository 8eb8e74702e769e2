#include "daemon/cli/shell_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "apis/wire/codec.h"
#include "tests/daemon/cli/fake_node.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;

// The answer to a statement without rows.
std::string Done(bool in_transaction) {
  std::string bytes;
  WireWriter out(bytes);
  QueryReplyHead{.status = QueryStatus::kDone, .in_transaction = in_transaction, .flags = 0}.Encode(
      out);
  out.U64(1);
  out.U8(0);
  out.U64(0);
  out.U16(0);
  out.U32(0);
  return FakeNode::Json(200, bytes);
}

// A node whose shells are numbered, and whose answers to statements a test writes.
class ShellClientTest : public testing::Test {
 protected:
  std::string Serve(const FakeRequest& request) {
    if (request.method == "GET")
      return "";
    if (request.method == "DELETE")
      return FakeNode::Json(200, "{}");
    if (request.target.ends_with("/shells"))
      return FakeNode::Json(
          201, R"({"id":")" + std::to_string(++shells_) + R"(","engine":")" + engine_ + "\"}");
    std::string answer = answers_.empty() ? Done(false) : answers_.front();
    if (!answers_.empty())
      answers_.pop_front();
    return answer;
  }
  // "NUMBER of the shell" for each statement that was sent.
  std::vector<std::string> Asked() {
    std::vector<std::string> asked;
    constexpr std::string_view kStatement = "POST /v1/tenants/demo/apps/shop/shells/";
    for (const std::string& seen : node_.Seen())
      if (seen.starts_with(kStatement))
        asked.push_back(seen.substr(kStatement.size()));
    return asked;
  }
  static std::string CodeOf(const Attempt<SqlAnswer>& answer) {
    return answer.ok() ? "" : answer.error().code;
  }

  // Before the node, whose thread reads them.
  std::string engine_ = "sqlite";
  std::deque<std::string> answers_;
  int shells_ = 0;
  FakeNode node_{[this](const FakeRequest& request) { return Serve(request); }};
  AdminApi api_{node_.socket_path()};
  ShellClient shell_{api_, {.app = AppName::Parse("demo/shop").value(), .write = true}, nullptr};
};

TEST_F(ShellClientTest, StatementsGoToOneShell) {
  answers_ = {Done(true), Done(false)};
  EXPECT_EQ("", CodeOf(shell_.Execute("BEGIN")));
  EXPECT_TRUE(shell_.in_transaction());
  EXPECT_EQ("", CodeOf(shell_.Execute("COMMIT")));
  EXPECT_FALSE(shell_.in_transaction());
  EXPECT_THAT(Asked(), ElementsAre("1", "1"));
}

TEST_F(ShellClientTest, OneThatHasEndedIsOpenedAnew) {
  answers_ = {FakeNode::Problem(404, "shell_not_found", "gone"), Done(false)};
  EXPECT_EQ("", CodeOf(shell_.Execute("INSERT")));
  EXPECT_THAT(Asked(), ElementsAre("1", "2"));
}

TEST_F(ShellClientTest, ATransactionThatEndedWithItIsSaidBefore) {
  answers_ = {Done(true), FakeNode::Problem(404, "shell_not_found", "gone")};
  EXPECT_EQ("", CodeOf(shell_.Execute("BEGIN")));
  EXPECT_EQ("statement_lost", CodeOf(shell_.Execute("INSERT")));
  EXPECT_FALSE(shell_.in_transaction());
  EXPECT_THAT(Asked(), ElementsAre("1", "1"));
  EXPECT_EQ("", CodeOf(shell_.Execute("INSERT")));
  EXPECT_THAT(Asked(), ElementsAre("1", "1", "2"));
}

TEST_F(ShellClientTest, WhatMayBeDoneIsNotAskedAgain) {
  answers_ = {FakeNode::Problem(409, "statement_lost", "it died"), Done(false)};
  EXPECT_EQ("statement_lost", CodeOf(shell_.Execute("INSERT")));
  EXPECT_THAT(Asked(), ElementsAre("1"));
  // The connection breaks: no answer at all.
  answers_ = {""};
  EXPECT_NE("", CodeOf(shell_.Execute("INSERT")));
  EXPECT_THAT(Asked(), ElementsAre("1", "1"));
  EXPECT_EQ("", CodeOf(shell_.Execute("SELECT 1")));
  EXPECT_THAT(Asked(), ElementsAre("1", "1", "2"));
}

TEST_F(ShellClientTest, WhatWasRefusedCostsNoTransaction) {
  for (const char* code : {"shell_busy", "field_invalid"}) {
    answers_ = {Done(true), FakeNode::Problem(409, code, "no")};
    EXPECT_EQ("", CodeOf(shell_.Execute("BEGIN")));
    EXPECT_EQ(code, CodeOf(shell_.Execute("SELECT 1")));
    EXPECT_TRUE(shell_.in_transaction());
  }
  EXPECT_EQ(1, shells_);
}

TEST_F(ShellClientTest, WhatIsTooLongIsNotSent) {
  EXPECT_EQ("statement_too_long",
            CodeOf(shell_.Execute(std::string(ShellClient::kSqlMax + 1, 'x'))));
  EXPECT_TRUE(node_.Seen().empty());
  EXPECT_EQ("", CodeOf(shell_.Execute(std::string(ShellClient::kSqlMax, 'x'))));
}

TEST_F(ShellClientTest, TheNodeSaysWhichSqlItSpeaks) {
  for (const auto& [engine, dialect] :
       {std::pair("sqlite", SqlDialect::kSqlite), std::pair("postgresql", SqlDialect::kPostgresql),
        std::pair("mariadb", SqlDialect::kMariadb)}) {
    engine_ = engine;
    ASSERT_TRUE(shell_.Open().ok());
    EXPECT_EQ(dialect, shell_.dialect()) << engine;
  }
}

TEST_F(ShellClientTest, ItIsClosedInTheEnd) {
  {
    ShellClient shell(api_, {.app = AppName::Parse("demo/shop").value()}, nullptr);
    ASSERT_TRUE(shell.Open().ok());
  }
  EXPECT_EQ("DELETE /v1/tenants/demo/apps/shop/shells/1", node_.Seen().back());
}

}  // namespace
}  // namespace cloister
