#include "sandbox/query/sql_server/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apis/wire/codec.h"

namespace cloister {
namespace {

using Texts = std::vector<std::string>;

// A server that does at once what it is asked, and fails or holds back what it is told to.
class FakeConnection : public ServerConnection {
 public:
  explicit FakeConnection(std::uint64_t number) : number_(number) {}

  Texts sent;
  std::string fails = {};    // the statement that does
  std::string undoes = {};   // the same, and its transaction is gone with it
  std::string hangs = {};    // the statement that has no answer yet
  std::string returns = {};  // the statement that has a row
  bool transaction = false;

  int fd() const override { return -1; }
  std::uint64_t number() const override { return number_; }
  bool in_transaction() const override { return transaction; }
  bool Queue(const std::string& sql) override {
    tasks_.push_back(sql);
    return true;
  }
  bool Run(const std::string& sql, std::span<const Set> sets) override {
    tasks_.emplace_back("prepare");
    for (std::size_t i = 0; i < sets.size(); ++i)
      tasks_.push_back(sql);
    return true;
  }
  bool Sync() override {
    tasks_.emplace_back("sync");
    return true;
  }
  short events() const override { return POLLIN; }
  Result<void> Work(short /*events*/) override { return {}; }
  Step Next() override {
    if (tasks_.empty() || (!skips_ && tasks_.front() == hangs))
      return Step::kNothing;
    const std::string task = tasks_.front();
    if (!skips_ && task == returns) {
      returns.clear();
      return Step::kRow;
    }
    tasks_.pop_front();
    if (task == "sync") {
      skips_ = false;
      return Step::kSynced;
    }
    if (skips_)
      return Step::kSkipped;
    if (task != "prepare")
      sent.push_back(task);
    if (task == fails || task == undoes) {
      transaction = transaction && task != undoes;
      skips_ = true;
      return Step::kFailed;
    }
    if (task == "BEGIN")
      transaction = true;
    if (task == "COMMIT" || task == "ROLLBACK")
      transaction = false;
    return Step::kDone;
  }
  int columns() const override { return 1; }
  std::string_view column_name(int /*column*/) const override { return {}; }
  std::string_view declared(int /*column*/) const override { return {}; }
  void AppendValue(WireWriter& out, int /*column*/) const override { out.U64(0); }
  std::optional<std::int64_t> integer(int /*column*/) const override { return 0; }
  std::uint64_t changed() const override { return 1; }
  std::optional<std::int64_t> row_id() const override { return std::nullopt; }
  std::string_view text(int /*column*/) const override { return {}; }
  ServerError error() const override { return {.message = "no"}; }
  std::string_view loss() const override { return "lost"; }

 private:
  std::uint64_t number_;
  std::deque<std::string> tasks_;
  bool skips_ = false;
};

constexpr SqlRule kRules[] = {{"SELECT", {.effect = SqlEffect::kReads}},
                              {"INSERT", {.effect = SqlEffect::kGrows}},
                              {"DROP", {.effect = SqlEffect::kChanges, .commits = true}},
                              {"BEGIN", {.effect = SqlEffect::kTransaction}},
                              {"COMMIT", {.effect = SqlEffect::kTransaction}}};

ServerDialect Dialect() {
  return {.words = [](std::string_view sql) -> Texts {
            return {std::string(sql.substr(0, sql.find(' ')))};
          },
          .ruling = [](const Texts& words,
                       std::string_view /*sql*/) { return RulingByWords(kRules, words); },
          .begins_transaction = [](const Texts& words,
                                   std::string_view /*sql*/) { return words.front() == "INSERT"; },
          .is_unclean = [](const Texts& /*words*/, std::string_view /*sql*/) { return false; },
          .control = [](const Texts& /*words*/, std::string_view sql) { return std::string(sql); },
          .begin_exclusive = {"BEGIN"},
          .begin_check = {"BEGIN"},
          .clean = {},
          .nothing = "NOTHING",
          .many = {"INSERT"},
          .many_refusal = "only INSERT",
          .cancel = [](std::uint64_t number) { return "CANCEL " + std::to_string(number); },
          .size = "SIZE"};
}

class SqlServerEngineTest : public testing::Test, protected QueryAnswers {
 protected:
  void Make(ServerDialect dialect, SqlServerEngine::Keeps keeps) {
    dialect_ = std::move(dialect);
    auto connection = std::make_unique<FakeConnection>(1);
    connection_ = connection.get();
    std::vector<std::unique_ptr<ServerConnection>> pool;
    pool.push_back(std::move(connection));
    auto spare = std::make_unique<FakeConnection>(2);
    spare_ = spare.get();
    engine_ = std::make_unique<SqlServerEngine>(dialect_, std::move(pool), std::move(spare), keeps);
    engine_->SetQuota({});
    Turn();
    connection_->sent.clear();
  }

  bool IsAlive(std::chrono::seconds later = {}) {
    const std::vector<pollfd> polled(2, {.fd = -1, .events = POLLIN, .revents = POLLIN});
    return engine_->Turn(polled, std::chrono::steady_clock::now() + later, *this).ok();
  }
  void Turn() { ASSERT_TRUE(IsAlive()); }

  void Begin(std::string_view sql, std::uint32_t sets = 1, bool many = false) {
    std::string statement;
    WireWriter out(statement);
    out.U64(7);
    out.U8(static_cast<std::uint8_t>(QueryBegin::kNone));
    out.U8(0);
    out.U8(many ? 1 : 0);
    out.U64(0);
    out.Str32(sql);
    out.U8(0);
    out.U32(sets);
    for (std::uint32_t i = 0; i < sets; ++i)
      out.U32(0);
    EXPECT_TRUE(engine_->Execute({.link = 1, .id = 1, .statement = statement}, *this));
  }
  // The status of the answer.
  QueryStatus Ask(std::string_view sql, std::uint32_t sets = 1, bool many = false) {
    Begin(sql, sets, many);
    Turn();
    return answers_.empty() ? QueryStatus::kFailed
                            : QueryStatus{static_cast<std::uint8_t>(answers_.back().front())};
  }

  void Answer(std::uint64_t /*link*/, std::uint32_t /*id*/, std::string_view reply) override {
    answers_.emplace_back(reply);
  }

  ServerDialect dialect_ = Dialect();
  FakeConnection* connection_ = nullptr;
  FakeConnection* spare_ = nullptr;
  std::unique_ptr<SqlServerEngine> engine_;
  Texts answers_;
};

TEST_F(SqlServerEngineTest, AStatementIsSentAlone) {
  Make(Dialect(), SqlServerEngine::Keeps::kAll);
  EXPECT_EQ(QueryStatus::kDone, Ask("INSERT a"));
  EXPECT_EQ(Texts{"INSERT a"}, connection_->sent);
}

TEST_F(SqlServerEngineTest, AStatementThatIsTooLongIsNotLookedAt) {
  Make(Dialect(), SqlServerEngine::Keeps::kAll);
  EXPECT_EQ(QueryStatus::kFailed, Ask("INSERT " + std::string(kServerSqlMax, 'a')));
  EXPECT_EQ(Texts{}, connection_->sent);
}

TEST_F(SqlServerEngineTest, WithinATransactionItIsGuarded) {
  Make(Dialect(), SqlServerEngine::Keeps::kAll);
  EXPECT_EQ(QueryStatus::kDone, Ask("BEGIN"));
  connection_->sent.clear();
  connection_->fails = "INSERT a";
  EXPECT_EQ(QueryStatus::kFailed, Ask("INSERT a"));
  EXPECT_EQ(
      (Texts{"SAVEPOINT cloister_statement", "INSERT a", "ROLLBACK TO SAVEPOINT cloister_statement",
             "RELEASE SAVEPOINT cloister_statement"}),
      connection_->sent);
}

TEST_F(SqlServerEngineTest, AServerThatUndoesFailedStatementsNeedsNoGuard) {
  ServerDialect dialect = Dialect();
  dialect.undoes_failed = true;
  Make(dialect, SqlServerEngine::Keeps::kAll);
  EXPECT_EQ(QueryStatus::kDone, Ask("BEGIN"));
  connection_->sent.clear();
  EXPECT_EQ(QueryStatus::kDone, Ask("INSERT a"));
  EXPECT_EQ(Texts{"INSERT a"}, connection_->sent);
}

TEST_F(SqlServerEngineTest, ManySetsAreDoneAsAWhole) {
  Make(Dialect(), SqlServerEngine::Keeps::kAll);
  EXPECT_EQ(QueryStatus::kDone, Ask("INSERT a", 2, true));
  EXPECT_EQ((Texts{"BEGIN", "INSERT a", "INSERT a", "COMMIT"}), connection_->sent);
  connection_->sent.clear();
  connection_->fails = "INSERT b";
  EXPECT_EQ(QueryStatus::kFailed, Ask("INSERT b", 2, true));
  EXPECT_EQ((Texts{"BEGIN", "INSERT b", "ROLLBACK"}), connection_->sent);
}

TEST_F(SqlServerEngineTest, ACheckInATransactionCommitsNothing) {
  Make(Dialect(), SqlServerEngine::Keeps::kNothing);
  EXPECT_EQ(QueryStatus::kFailed, Ask("DROP a"));
  EXPECT_EQ(Texts{}, connection_->sent);
  EXPECT_EQ(QueryStatus::kDone, Ask("BEGIN"));
  EXPECT_EQ(QueryStatus::kDone, Ask("COMMIT"));
  EXPECT_EQ((Texts{"SAVEPOINT cloister_transaction", "RELEASE SAVEPOINT cloister_transaction"}),
            connection_->sent);
}

TEST_F(SqlServerEngineTest, ACheckThatTheServerHasUndoneIsOver) {
  Make(Dialect(), SqlServerEngine::Keeps::kNothing);
  connection_->undoes = "INSERT a";
  Begin("INSERT a");
  // What came next would be kept.
  EXPECT_FALSE(IsAlive());
}

TEST_F(SqlServerEngineTest, ATransactionThatTheServerHasUndoneIsNoneAnyMore) {
  Make(Dialect(), SqlServerEngine::Keeps::kAll);
  EXPECT_EQ(QueryStatus::kDone, Ask("BEGIN"));
  EXPECT_TRUE(engine_->HasTransaction(1, 7));
  connection_->undoes = "INSERT a";
  EXPECT_EQ(QueryStatus::kFailed, Ask("INSERT a"));
  EXPECT_FALSE(engine_->HasTransaction(1, 7));
  EXPECT_EQ("INSERT a", connection_->sent.back());
}

TEST_F(SqlServerEngineTest, WhatFollowsACancelledStatementWaitsForTheCancel) {
  Make(Dialect(), SqlServerEngine::Keeps::kAll);
  engine_->SetQuota({.result_max = Bytes{1}});
  EXPECT_EQ(QueryStatus::kDone, Ask("BEGIN"));
  connection_->sent.clear();
  answers_.clear();
  // It ends by itself, while the cancel is on its way.
  connection_->returns = "INSERT a RETURNING b";
  spare_->hangs = "CANCEL 1";
  Begin("INSERT a RETURNING b");
  for (int i = 0; i < 3; ++i)
    Turn();
  EXPECT_EQ((Texts{"SAVEPOINT cloister_statement", "INSERT a RETURNING b"}), connection_->sent);
  EXPECT_TRUE(answers_.empty());
  EXPECT_TRUE(engine_->is_busy());
  spare_->hangs.clear();
  for (int i = 0; i < 2; ++i)
    Turn();
  EXPECT_EQ(
      (Texts{"SAVEPOINT cloister_statement", "INSERT a RETURNING b",
             "ROLLBACK TO SAVEPOINT cloister_statement", "RELEASE SAVEPOINT cloister_statement"}),
      connection_->sent);
  ASSERT_EQ(1U, answers_.size());
  EXPECT_EQ(static_cast<char>(QueryStatus::kQuotaExceeded), answers_.front().front());
  EXPECT_TRUE(engine_->HasTransaction(1, 7));
}

TEST_F(SqlServerEngineTest, ACommitIsWaitedForAndNotForEver) {
  Make(Dialect(), SqlServerEngine::Keeps::kAll);
  connection_->hangs = "COMMIT";
  Begin("INSERT a", 2, true);
  EXPECT_TRUE(IsAlive());
  EXPECT_TRUE(IsAlive(std::chrono::seconds(50)));
  EXPECT_TRUE(answers_.empty());
  EXPECT_FALSE(IsAlive(std::chrono::seconds(70)));
}

TEST_F(SqlServerEngineTest, AWorkerThatIsGoneLeavesNoTransactionWhateverItsStatementGives) {
  Make(Dialect(), SqlServerEngine::Keeps::kAll);
  engine_->SetQuota({.result_max = Bytes{1}});
  EXPECT_EQ(QueryStatus::kDone, Ask("BEGIN"));
  answers_.clear();
  connection_->hangs = connection_->returns = "SELECT a";
  Begin("SELECT a");
  Turn();
  engine_->Forget(1);
  // More rows than a result may have were on their way.
  connection_->hangs.clear();
  for (int i = 0; i < 3; ++i)
    Turn();
  EXPECT_EQ("ROLLBACK", connection_->sent.back());
  EXPECT_FALSE(connection_->transaction);
  EXPECT_FALSE(engine_->is_busy());
  EXPECT_TRUE(answers_.empty());
}

TEST_F(SqlServerEngineTest, ACopyIsKeptForAsLongAsItsProcess) {
  Make(Dialect(), SqlServerEngine::Keeps::kCopy);
  EXPECT_TRUE(engine_->is_busy());
  EXPECT_EQ(QueryStatus::kDone, Ask("DROP a"));
  Make(Dialect(), SqlServerEngine::Keeps::kAll);
  EXPECT_FALSE(engine_->is_busy());
}

}  // namespace
}  // namespace cloister
