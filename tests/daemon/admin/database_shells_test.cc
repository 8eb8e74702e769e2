#include "daemon/admin/database_shells.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "daemon/admin/body.h"
#include "daemon/workers/query_processes.h"
#include "tests/daemon/workers/scripted_query.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;

// Shells whose clients are exchanges without connections, on a process that the test speaks for.
class DatabaseShellsTest : public testing::Test {
 protected:
  DatabaseShellsTest() { ground_.env.queries = &queries_; }

  DatabaseShells::Asked Asked(const std::string& id = "", const std::string& who = "uid 0") {
    return {.app = &app_, .id = id, .who = who};
  }
  std::string Open() {
    const Outcome<std::string> opened = shells_.Open(Asked(), {.access = SessionAccess::kWrite});
    EXPECT_TRUE(opened.ok());
    return opened.ok() ? opened.value() : "";
  }
  FakeExchange& Hold(const std::string& id, const std::string& who = "uid 0") {
    FakeExchange& exchange = exchanges_.emplace_back();
    shells_.Hold(Asked(id, who), AdminReply(calls_, calls_->Add(exchange)));
    return exchange;
  }
  FakeExchange& Execute(const std::string& id, TakenBody body) {
    FakeExchange& exchange = exchanges_.emplace_back();
    shells_.Execute(Asked(id), std::make_shared<const TakenBody>(std::move(body)),
                    AdminReply(calls_, calls_->Add(exchange)));
    return exchange;
  }
  FakeExchange& Execute(const std::string& id, const std::string& sql) {
    return Execute(id, TakenBody{.bytes = sql, .file = {}, .size = sql.size()});
  }
  // A statement that the process has.
  FakeExchange& Run(const std::string& id, const std::string& sql) {
    FakeExchange& exchange = Execute(id, sql);
    process_.Start();
    EXPECT_FALSE(process_.ReceivedStatement().empty());
    return exchange;
  }
  bool Until(const std::function<bool()>& condition) { return ground_.Until(condition); }
  void ExpectProblem(const FakeExchange& exchange, int status, const std::string& code) {
    EXPECT_TRUE(Until([&] { return exchange.finished; }));
    EXPECT_EQ(status, exchange.status);
    EXPECT_THAT(exchange.body, HasSubstr('"' + code + '"'));
  }

  TempDir directory_;
  WorkerGround ground_;
  QueryProcesses queries_{ground_.env, {.state_dir = directory_.path()}};
  std::shared_ptr<AdminCalls> calls_ = std::make_shared<AdminCalls>();
  std::deque<FakeExchange> exchanges_;
  AppEntry app_{.row = {.id = AppId{3},
                        .tenant = {},
                        .name = AppName::Parse("demo/hello").value(),
                        .created_at = {}}};
  DatabaseShells shells_{
      {.loop = ground_.loop, .clock = ground_.clock, .queries = queries_, .logs = ground_.logs}};
  ScriptedQuery process_{ground_};
};

TEST_F(DatabaseShellsTest, AStatementIsAnsweredAsTheProcessDoes) {
  const std::string id = Open();
  FakeExchange& hold = Hold(id);
  FakeExchange& asked = Run(id, "SELECT 1");
  process_.Reply(ScriptedQuery::Head(), kQueryMore);
  process_.Reply("rest");
  ASSERT_TRUE(Until([&] { return asked.finished; }));
  EXPECT_EQ(200, asked.status);
  EXPECT_EQ(ScriptedQuery::Head() + "rest", asked.body);
  EXPECT_FALSE(hold.finished);
  EXPECT_EQ(1U, ground_.logs.Count("opened a shell on the database, to write"));
}

TEST_F(DatabaseShellsTest, AStatementUnderWayIsLostWithItsShell) {
  const std::string id = Open();
  FakeExchange& hold = Hold(id);
  FakeExchange& asked = Run(id, "INSERT");
  hold.GoAway();
  // It may be done: who hears that there is no shell asks once more.
  ExpectProblem(asked, 409, "statement_lost");
  EXPECT_EQ(0U, shells_.size());
  ExpectProblem(Execute(id, "INSERT"), 404, "shell_not_found");
}

TEST_F(DatabaseShellsTest, AnAnswerThatHasBegunIsCutOffWithItsShell) {
  const std::string id = Open();
  FakeExchange& hold = Hold(id);
  FakeExchange& asked = Run(id, "SELECT 1");
  process_.Reply(ScriptedQuery::Head(), kQueryMore);
  ASSERT_TRUE(Until([&] { return !asked.body.empty(); }));
  hold.GoAway();
  ASSERT_TRUE(Until([&] { return asked.aborted; }));
  EXPECT_FALSE(asked.finished);
}

TEST_F(DatabaseShellsTest, WhoLeavesInTheMiddleOfAStatementEndsTheShell) {
  const std::string id = Open();
  FakeExchange& hold = Hold(id);
  Run(id, "SELECT 1").GoAway();
  ASSERT_TRUE(Until([&] { return hold.finished; }));
  EXPECT_THAT(hold.body, HasSubstr("its client has gone"));
  EXPECT_EQ(0U, shells_.size());
}

TEST_F(DatabaseShellsTest, OneStatementAtATimeAndOneWhoHoldsIt) {
  const std::string id = Open();
  (void)Hold(id);
  ExpectProblem(Hold(id), 409, "shell_busy");
  FakeExchange& asked = Run(id, "SELECT 1");
  ExpectProblem(Execute(id, "SELECT 2"), 409, "shell_busy");
  process_.Reply(ScriptedQuery::Head());
  ASSERT_TRUE(Until([&] { return asked.finished; }));
  FakeExchange& next = Run(id, "SELECT 2");
  process_.Reply(ScriptedQuery::Head(), 0, 2);
  ASSERT_TRUE(Until([&] { return next.finished; }));
}

TEST_F(DatabaseShellsTest, WhatIsReadFromAFileIsNotAskedOfAShellThatHasEndedMeanwhile) {
  const std::string id = Open();
  directory_.Write("sql", "DELETE");
  TakenBody body{.bytes = {},
                 .file = UniqueFd(::open(directory_.At("sql").c_str(), O_RDONLY | O_CLOEXEC)),
                 .size = 6};
  ASSERT_TRUE(body.file.valid());
  FakeExchange& asked = Execute(id, std::move(body));
  ExpectProblem(Execute(id, "SELECT 1"), 409, "shell_busy");
  EXPECT_TRUE(shells_.Close(Asked(id)).ok());
  ExpectProblem(asked, 404, "shell_not_found");
  EXPECT_TRUE(ground_.processes.queries.empty());
}

TEST_F(DatabaseShellsTest, WhatIsNoStatementIsNotAsked) {
  const std::string id = Open();
  for (const std::string& sql : {std::string("SELECT '\xff'"), std::string("SELECT '\0'", 10)})
    ExpectProblem(Execute(id, sql), 422, "field_invalid");
  EXPECT_TRUE(ground_.processes.queries.empty());
}

TEST_F(DatabaseShellsTest, SomebodyElsesIsNotThere) {
  const std::string id = Open();
  ExpectProblem(Hold(id, "uid 7"), 404, "shell_not_found");
  EXPECT_FALSE(shells_.Close(Asked(id, "uid 7")).ok());
  app_.row.id = AppId{4};
  ExpectProblem(Hold(id), 404, "shell_not_found");
  EXPECT_EQ(1U, shells_.size());
}

TEST_F(DatabaseShellsTest, ThereAreOnlySoMany) {
  for (std::size_t i = 0; i < DatabaseShells::kMax; ++i) {
    app_.row.id = AppId{3 + i / DatabaseShells::kOfAppMax};
    EXPECT_FALSE(Open().empty()) << i;
  }
  for (const std::uint64_t app : {3U, 99U}) {
    app_.row.id = AppId{app};
    const Outcome<std::string> more = shells_.Open(Asked(), {});
    ASSERT_FALSE(more.ok());
    EXPECT_EQ(ProblemCode::kShellsFull, more.error().code);
  }
}

TEST_F(DatabaseShellsTest, ADatabaseThatWasReplacedEndsIt) {
  const std::string id = Open();
  FakeExchange& hold = Hold(id);
  app_.row.data = 2;
  ExpectProblem(Execute(id, "SELECT 1"), 404, "shell_not_found");
  ASSERT_TRUE(Until([&] { return hold.finished; }));
  EXPECT_THAT(hold.body, HasSubstr("a rollback with data"));
}

TEST_F(DatabaseShellsTest, AtTheNodesEndAStatementIsAnsweredFirst) {
  const std::string idle = Open();
  const std::string busy = Open();
  FakeExchange& idle_hold = Hold(idle);
  FakeExchange& busy_hold = Hold(busy);
  FakeExchange& asked = Run(busy, "SELECT 1");
  shells_.End();
  ASSERT_TRUE(Until([&] { return idle_hold.finished; }));
  EXPECT_FALSE(busy_hold.finished);
  EXPECT_FALSE(shells_.Open(Asked(), {}).ok());
  process_.Reply(ScriptedQuery::Head());
  ASSERT_TRUE(Until([&] { return busy_hold.finished; }));
  EXPECT_EQ(200, asked.status);
  EXPECT_EQ(0U, shells_.size());
}

}  // namespace
}  // namespace cloister
