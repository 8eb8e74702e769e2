#include "daemon/workers/database_session.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "daemon/workers/query_processes.h"
#include "tests/daemon/workers/scripted_query.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

class Answers : public DatabaseSession::Listener {
 public:
  bool OnPiece(std::string_view piece, bool last) override {
    whole += piece;
    pieces += 1;
    done = last;
    return takes_more;
  }
  void OnLost(std::string why) override { lost.push_back(std::move(why)); }
  void OnClosed(std::string why) override { closed.push_back(std::move(why)); }

  std::string whole;
  int pieces = 0;
  bool done = false;
  bool takes_more = true;
  std::vector<std::string> lost;
  std::vector<std::string> closed;
};

class DatabaseSessionTest : public testing::Test {
 protected:
  DatabaseSessionTest() { ground_.env.queries = &queries_; }

  void Open(SessionAccess access = SessionAccess::kWrite) {
    auto opened = DatabaseSession::Open(ground_.loop, queries_, SomeRelease(), access, answers_);
    ASSERT_TRUE(opened.ok());
    session_ = std::move(opened).value();
  }
  void Ask(std::string_view sql) {
    ASSERT_TRUE(session_->Ask(sql).ok());
    process_.Start();
  }

  TempDir directory_;
  WorkerGround ground_;
  QueryProcesses queries_{ground_.env, {.state_dir = directory_.path()}};
  Answers answers_;
  ScriptedQuery process_{ground_};
  std::unique_ptr<DatabaseSession> session_;
};

TEST_F(DatabaseSessionTest, AStatementGoesToTheProcessAndItsAnswerComesInPieces) {
  Open();
  Ask("SELECT 1");
  const std::string got = process_.ReceivedStatement();
  const auto statement = QueryStatement::Decode(got);
  ASSERT_TRUE(statement.ok());
  EXPECT_EQ("SELECT 1", statement.value().sql);
  EXPECT_EQ(0, statement.value().flags);
  EXPECT_EQ(QueryBegin::kNone, statement.value().begin);
  process_.Reply(ScriptedQuery::Head(true), kQueryMore);
  process_.Reply("rest");
  ASSERT_TRUE(ground_.Until([&] { return answers_.done; }));
  EXPECT_EQ(ScriptedQuery::Head(true) + "rest", answers_.whole);
  EXPECT_EQ(2, answers_.pieces);
  EXPECT_TRUE(session_->in_transaction());
  EXPECT_FALSE(session_->busy());
}

TEST_F(DatabaseSessionTest, AStatementMayNeedManyPackets) {
  Open(SessionAccess::kRead);
  const std::string sql(DatabaseSession::kSqlMax, 'x');
  Ask(sql);
  const std::string got = process_.ReceivedStatement();
  const auto statement = QueryStatement::Decode(got);
  ASSERT_TRUE(statement.ok());
  EXPECT_EQ(sql, statement.value().sql);
  EXPECT_EQ(kQueryReadOnly, statement.value().flags);
}

TEST_F(DatabaseSessionTest, WhoTakesNoMoreIsGivenNoMore) {
  Open();
  Ask("SELECT 1");
  answers_.takes_more = false;
  process_.Reply(ScriptedQuery::Head(), kQueryMore);
  process_.Reply("rest");
  ASSERT_TRUE(ground_.Until([&] { return answers_.pieces == 1; }));
  RunFor(ground_.loop, Millis(20));
  EXPECT_EQ(1, answers_.pieces);
  answers_.takes_more = true;
  session_->Resume();
  ASSERT_TRUE(ground_.Until([&] { return answers_.done; }));
}

TEST_F(DatabaseSessionTest, AProcessThatIsLostIsSaidAndSoIsATransaction) {
  Open();
  Ask("BEGIN");
  process_.Reply(ScriptedQuery::Head(true));
  ASSERT_TRUE(ground_.Until([&] { return answers_.done; }));
  // What the node sends when a process dies.
  const std::string reset = EncodeQueryPacket(
      {.type = QueryPacketType::kReset, .flags = 0, .epoch = 2, .id = 0, .piece = "it died"});
  process_.Say(reset);
  ASSERT_TRUE(ground_.Until([&] { return !session_->in_transaction(); }));
  const Result<void> refused = session_->Ask("COMMIT");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ("it died", refused.error().message);
  EXPECT_TRUE(answers_.lost.empty());
  ASSERT_TRUE(session_->Ask("SELECT 1").ok());
  // An answer of the former process is none.
  process_.Reply(ScriptedQuery::Head(), 0, 2, 1);
  RunFor(ground_.loop, Millis(20));
  EXPECT_EQ(1, answers_.pieces);
  process_.Reply(ScriptedQuery::Head(), 0, 2, 2);
  ASSERT_TRUE(ground_.Until([&] { return answers_.pieces == 2; }));
}

class HostileProcessTest : public DatabaseSessionTest,
                           public testing::WithParamInterface<std::string> {};

TEST_P(HostileProcessTest, ClosesTheSessionAndNothingElse) {
  Open();
  Ask("SELECT 1");
  process_.Say(GetParam());
  ASSERT_TRUE(ground_.Until([&] { return !answers_.closed.empty(); }));
  EXPECT_FALSE(session_->Ask("SELECT 1").ok());
  EXPECT_EQ(0, answers_.pieces);
}

std::string Hostile(QueryPacketType type, std::uint32_t id, std::string_view piece) {
  return EncodeQueryPacket({.type = type, .flags = 0, .epoch = 1, .id = id, .piece = piece});
}

INSTANTIATE_TEST_SUITE_P(
    All, HostileProcessTest,
    testing::Values(Hostile(QueryPacketType::kReply, 9, "another one's answer"),
                    Hostile(QueryPacketType::kReply, 1, "x"),
                    Hostile(QueryPacketType::kReply, 1, ""),
                    Hostile(QueryPacketType::kStatement, 1, "a statement"), "garbage"));

TEST_F(DatabaseSessionTest, AnAppThatIsDeletedClosesIt) {
  Open();
  Ask("SELECT 1");
  bool forgotten = false;
  queries_.Forget(SomeRelease().app_id, [&] { forgotten = true; });
  ASSERT_TRUE(ground_.Until([&] { return forgotten; }));
  ASSERT_EQ(1U, answers_.closed.size());
  EXPECT_EQ("the app was deleted", answers_.closed.front());
  EXPECT_FALSE(session_->busy());
}

}  // namespace
}  // namespace cloister
