#include "daemon/workers/database_session.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "apis/wire/fd_socket.h"
#include "apis/wire/frame.h"
#include "daemon/workers/query_processes.h"
#include "tests/daemon/workers/worker_fixture.h"
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

// A process that the test speaks for, which serves one session.
class DatabaseSessionTest : public testing::Test {
 protected:
  DatabaseSessionTest() { ground_.env.queries = &queries_; }

  void Open(SessionAccess access = SessionAccess::kWrite) {
    auto opened = DatabaseSession::Open(ground_.loop, queries_, SomeRelease(), access, answers_);
    ASSERT_TRUE(opened.ok());
    session_ = std::move(opened).value();
  }
  // Asks the first statement, which starts the process and gives it the socket.
  void Ask(std::string_view sql) {
    ASSERT_TRUE(session_->Ask(sql).ok());
    if (process_fd_.valid())
      return;
    ASSERT_TRUE(ground_.Until([&] { return !ground_.processes.queries.empty(); }));
    process_ = &ground_.processes.queries.back();
    (void)ReceivePacket(process_->control.get());
    std::string frame;
    AppendFrame(frame,
                {.type = FrameType::kReady, .flags = 0, .id = 0, .payload = std::string(8, '\0')});
    ASSERT_GT(::send(process_->channel.get(), frame.data(), frame.size(), MSG_NOSIGNAL), 0);
    ASSERT_TRUE(ground_.Until([&] { return HasSome(process_->control.get()); }));
    auto received = ReceivePacket(process_->control.get());
    ASSERT_EQ(1U, received.value().packet.fds.size());
    process_fd_ = std::move(received.value().packet.fds.front());
  }
  static bool HasSome(int fd) {
    std::array<char, 1> byte = {};
    return ::recv(fd, byte.data(), 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }
  // A packet that the process got.
  std::string Received() {
    EXPECT_TRUE(ground_.Until([&] { return HasSome(process_fd_.get()); }));
    std::string packet(kQueryPacketMax, '\0');
    const ssize_t size = ::recv(process_fd_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    packet.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return packet;
  }
  void Reply(std::string_view piece, std::uint8_t flags = 0, std::uint32_t id = 1,
             std::uint32_t epoch = 1) {
    const std::string packet = EncodeQueryPacket({.type = QueryPacketType::kReply,
                                                  .flags = flags,
                                                  .epoch = epoch,
                                                  .id = id,
                                                  .piece = piece});
    ASSERT_GT(::send(process_fd_.get(), packet.data(), packet.size(), MSG_NOSIGNAL), 0);
  }
  static std::string Head(bool in_transaction = false) {
    return EncodeQueryFailure({.in_transaction = in_transaction}, QueryErrorClass::kData, "c", "");
  }

  TempDir directory_;
  WorkerGround ground_;
  QueryProcesses queries_{ground_.env, {.state_dir = directory_.path()}};
  Answers answers_;
  FakeProcesses::Query* process_ = nullptr;
  UniqueFd process_fd_;
  std::unique_ptr<DatabaseSession> session_;
};

TEST_F(DatabaseSessionTest, AStatementGoesToTheProcessAndItsAnswerComesInPieces) {
  Open();
  Ask("SELECT 1");
  const std::string packet = Received();
  const auto parsed = ParseQueryPacket(packet);
  ASSERT_TRUE(parsed.ok());
  const auto statement = QueryStatement::Decode(parsed.value().piece);
  ASSERT_TRUE(statement.ok());
  EXPECT_EQ("SELECT 1", statement.value().sql);
  EXPECT_EQ(0, statement.value().flags);
  EXPECT_EQ(QueryBegin::kNone, statement.value().begin);
  Reply(Head(true), kQueryMore);
  Reply("rest");
  ASSERT_TRUE(ground_.Until([&] { return answers_.done; }));
  EXPECT_EQ(Head(true) + "rest", answers_.whole);
  EXPECT_EQ(2, answers_.pieces);
  EXPECT_TRUE(session_->in_transaction());
  EXPECT_FALSE(session_->busy());
}

TEST_F(DatabaseSessionTest, AStatementMayNeedManyPackets) {
  Open(SessionAccess::kRead);
  const std::string sql(DatabaseSession::kSqlMax, 'x');
  Ask(sql);
  std::string whole;
  bool more = true;
  while (more) {
    const std::string packet = Received();
    const auto parsed = ParseQueryPacket(packet);
    ASSERT_TRUE(parsed.ok());
    whole += parsed.value().piece;
    more = (parsed.value().flags & kQueryMore) != 0;
  }
  const auto statement = QueryStatement::Decode(whole);
  ASSERT_TRUE(statement.ok());
  EXPECT_EQ(sql, statement.value().sql);
  EXPECT_EQ(kQueryReadOnly, statement.value().flags);
}

TEST_F(DatabaseSessionTest, WhoTakesNoMoreIsGivenNoMore) {
  Open();
  Ask("SELECT 1");
  answers_.takes_more = false;
  Reply(Head(), kQueryMore);
  Reply("rest");
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
  Reply(Head(true));
  ASSERT_TRUE(ground_.Until([&] { return answers_.done; }));
  // What the node sends when a process dies.
  const std::string reset = EncodeQueryPacket(
      {.type = QueryPacketType::kReset, .flags = 0, .epoch = 2, .id = 0, .piece = "it died"});
  ASSERT_GT(::send(process_fd_.get(), reset.data(), reset.size(), MSG_NOSIGNAL), 0);
  ASSERT_TRUE(ground_.Until([&] { return !session_->in_transaction(); }));
  const Result<void> refused = session_->Ask("COMMIT");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ("it died", refused.error().message);
  EXPECT_TRUE(answers_.lost.empty());
  ASSERT_TRUE(session_->Ask("SELECT 1").ok());
  // An answer of the former process is none.
  Reply(Head(), 0, 2, 1);
  RunFor(ground_.loop, Millis(20));
  EXPECT_EQ(1, answers_.pieces);
  Reply(Head(), 0, 2, 2);
  ASSERT_TRUE(ground_.Until([&] { return answers_.pieces == 2; }));
}

class HostileProcessTest : public DatabaseSessionTest,
                           public testing::WithParamInterface<std::string> {};

TEST_P(HostileProcessTest, ClosesTheSessionAndNothingElse) {
  Open();
  Ask("SELECT 1");
  ASSERT_GT(::send(process_fd_.get(), GetParam().data(), GetParam().size(), MSG_NOSIGNAL), 0);
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
