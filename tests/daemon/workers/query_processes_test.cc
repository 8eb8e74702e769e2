#include "daemon/workers/query_processes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "apis/wire/fd_socket.h"
#include "apis/wire/frame.h"
#include "tests/daemon/workers/worker_fixture.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

std::string Packet(std::string_view piece, std::uint32_t epoch = 1) {
  return EncodeQueryPacket(
      {.type = QueryPacketType::kStatement, .flags = 0, .epoch = epoch, .id = 1, .piece = piece});
}

class Complaints : public QueryLink::Listener {
 public:
  void OnBadQuery(const Error& error) override { errors.push_back(error.message); }
  std::vector<std::string> errors;
};

// A worker's two ends: its own, and the link that the node has.
struct Client {
  UniqueFd worker;
  std::unique_ptr<QueryLink> link;
  Complaints complaints;

  void Send(std::string_view packet) const {
    ASSERT_EQ(static_cast<ssize_t>(packet.size()),
              ::send(worker.get(), packet.data(), packet.size(), MSG_DONTWAIT));
  }
  // Empty: nothing is there.
  std::string Receive() const {
    std::string packet(kQueryPacketMax, '\0');
    const ssize_t size = ::recv(worker.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    packet.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return packet;
  }
};

class QueryProcessesTest : public testing::Test {
 protected:
  QueryProcessesTest() {
    ground_.env.queries = &queries_;
    spec_.call_quota.query.statements_rate = 123;
  }

  std::unique_ptr<Client> Connect() {
    auto client = std::make_unique<Client>();
    std::array<int, 2> ends = {-1, -1};
    EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()));
    client->worker.Reset(ends[0]);
    client->link = queries_.MakeLink(spec_, UniqueFd(ends[1]), client->complaints);
    return client;
  }

  FakeProcesses::Query& AwaitProcess(std::size_t number) {
    EXPECT_TRUE(ground_.Until([&] { return ground_.processes.queries.size() == number; }));
    return ground_.processes.queries.back();
  }

  void Say(const FakeProcesses::Query& process, FrameType type, std::string_view payload) {
    std::string frame;
    AppendFrame(frame, {.type = type, .flags = 0, .id = 0, .payload = payload});
    EXPECT_EQ(static_cast<ssize_t>(frame.size()),
              ::send(process.channel.get(), frame.data(), frame.size(), MSG_NOSIGNAL));
  }
  void BeReady(const FakeProcesses::Query& process) {
    Say(process, FrameType::kReady, std::string(8, '\0'));
  }

  QueryOrders AwaitOrders(const FakeProcesses::Query& process) {
    const auto received = ReceivePacket(process.control.get());
    EXPECT_TRUE(received.ok());
    const auto orders = DecodeMessage<QueryOrders>(received.value().packet.bytes);
    EXPECT_TRUE(orders.ok());
    return orders.value();
  }

  struct Attached {
    QueryAttach message;
    UniqueFd fd;
  };
  Attached AwaitAttach(const FakeProcesses::Query& process) {
    Attached attached;
    EXPECT_TRUE(ground_.Until([&] {
      std::array<char, 1> byte = {};
      return ::recv(process.control.get(), byte.data(), 1, MSG_PEEK | MSG_DONTWAIT) > 0;
    }));
    auto received = ReceivePacket(process.control.get());
    EXPECT_TRUE(received.ok() && received.value().packet.fds.size() == 1);
    attached.message = DecodeMessage<QueryAttach>(received.value().packet.bytes).value();
    attached.fd = std::move(received.value().packet.fds.front());
    return attached;
  }

  // A process that serves the client.
  FakeProcesses::Query& Serve(std::size_t number) {
    FakeProcesses::Query& process = AwaitProcess(number);
    (void)AwaitOrders(process);
    BeReady(process);
    return process;
  }

  std::string AwaitPacket(const Client& client) {
    std::string packet;
    EXPECT_TRUE(ground_.Until([&] { return !(packet = client.Receive()).empty(); }));
    return packet;
  }

  static std::string Peek(int fd) {
    std::string packet(kQueryPacketMax, '\0');
    const ssize_t size = ::recv(fd, packet.data(), packet.size(), MSG_DONTWAIT);
    packet.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return packet;
  }

  TempDir directory_;
  WorkerGround ground_;
  QueryProcesses queries_{ground_.env, {.state_dir = directory_.path()}};
  ReleaseSpec spec_ = SomeRelease();
};

TEST_F(QueryProcessesTest, AFirstStatementStartsAProcessThatGetsIt) {
  const auto client = Connect();
  RunFor(ground_.loop, Millis(5));
  EXPECT_TRUE(ground_.processes.queries.empty());
  client->Send(Packet("first"));
  const FakeProcesses::Query& process = AwaitProcess(1);
  EXPECT_EQ(3U, process.files.size());
  EXPECT_EQ(123U, AwaitOrders(process).statements_rate);
  EXPECT_EQ("app-3", ground_.processes.placed.back().group);
  BeReady(process);
  const Attached attached = AwaitAttach(process);
  EXPECT_EQ(1U, attached.message.epoch);
  EXPECT_EQ(Packet("first"), Peek(attached.fd.get()));
  EXPECT_TRUE(std::filesystem::exists(directory_.At("apps/3/query.db")));
}

TEST_F(QueryProcessesTest, WhatADeadProcessLeftBehindIsThrownAway) {
  const auto client = Connect();
  client->Send(Packet("read"));
  const FakeProcesses::Query& process = Serve(1);
  const Attached attached = AwaitAttach(process);
  EXPECT_EQ(Packet("read"), Peek(attached.fd.get()));
  client->Send(Packet("never read"));
  ground_.processes.Exit(process.id, SIGKILL);
  const auto reset = ParseQueryPacket(AwaitPacket(*client));
  ASSERT_TRUE(reset.ok());
  // (The packet's bytes are gone: only its numbers are looked at.)
  EXPECT_EQ(QueryPacketType::kReset, reset.value().type);
  EXPECT_EQ(2U, reset.value().epoch);
  EXPECT_EQ(1U, ground_.logs.Count("ended by signal 9"));
  client->Send(Packet("next", 2));
  const FakeProcesses::Query& next = Serve(2);
  const Attached again = AwaitAttach(next);
  EXPECT_EQ(2U, again.message.epoch);
  EXPECT_EQ(Packet("next", 2), Peek(again.fd.get()));
}

TEST_F(QueryProcessesTest, AProcessThatEndsInOrderLosesNothing) {
  const auto client = Connect();
  client->Send(Packet("read"));
  const FakeProcesses::Query& process = Serve(1);
  {
    const Attached attached = AwaitAttach(process);
    EXPECT_EQ(Packet("read"), Peek(attached.fd.get()));
  }
  client->Send(Packet("just now"));
  ground_.processes.ExitCode(process.id, 0);
  const FakeProcesses::Query& next = Serve(2);
  const Attached attached = AwaitAttach(next);
  EXPECT_EQ(1U, attached.message.epoch);
  EXPECT_EQ(Packet("just now"), Peek(attached.fd.get()));
  EXPECT_EQ("", client->Receive());
}

TEST_F(QueryProcessesTest, ADatabaseThatCannotBeUsedIsSaid) {
  const auto client = Connect();
  client->Send(Packet("first"));
  const FakeProcesses::Query& process = AwaitProcess(1);
  std::string report;
  WireWriter writer(report);
  BootReport{.code = "x", .message = "it is no database", .file = {}, .line = 0, .traceback = {}}
      .Encode(writer);
  Say(process, FrameType::kBootFailed, report);
  RunFor(ground_.loop, Millis(5));
  ground_.processes.ExitCode(process.id, 1);
  const std::string packet = AwaitPacket(*client);
  EXPECT_NE(std::string::npos, packet.find("cannot be used: it is no database"));
}

TEST_F(QueryProcessesTest, ProcessesThatFailInARowAreNotStartedForEver) {
  const auto client = Connect();
  for (std::uint32_t i = 0; i < 50; ++i) {
    client->Send(Packet("x", i + 1));
    const std::size_t before = ground_.processes.queries.size();
    std::string packet;
    EXPECT_TRUE(ground_.Until([&] {
      if (ground_.processes.queries.size() > before)
        ground_.processes.ExitCode(ground_.processes.queries.back().id, 1);
      return !(packet = client->Receive()).empty();
    }));
  }
  EXPECT_LT(ground_.processes.queries.size(), 20U);
  EXPECT_GE(ground_.processes.queries.size(), 4U);
}

// An app can have its process end after each statement.
TEST_F(QueryProcessesTest, ProcessesThatServeAndEndAreNotStartedForEver) {
  const auto client = Connect();
  std::size_t served = 0;
  for (std::uint32_t i = 0; i < 40; ++i) {
    client->Send(Packet("x", i + 1));
    std::string packet;
    EXPECT_TRUE(ground_.Until([&] {
      if (ground_.processes.queries.size() > served) {
        served = ground_.processes.queries.size();
        const FakeProcesses::Query& process = ground_.processes.queries.back();
        BeReady(process);
        (void)AwaitOrders(process);
        (void)AwaitAttach(process);
        QueryUse use;
        use.served = 1;
        Say(process, FrameType::kQueryUse, use.Encode());
        RunFor(ground_.loop, Millis(2));
        ground_.processes.ExitCode(process.id, 1);
      }
      return !(packet = client->Receive()).empty();
    }));
  }
  EXPECT_LT(served, 20U);
  EXPECT_GE(served, 8U);
}

TEST_F(QueryProcessesTest, AWorkerThatBrokeTheRulesIsToldOfOnce) {
  const auto client = Connect();
  const auto other = Connect();
  client->Send(Packet("bad"));
  const FakeProcesses::Query& process = Serve(1);
  const Attached attached = AwaitAttach(process);
  std::string number;
  WireWriter(number).U64(attached.message.link);
  std::string unknown;
  WireWriter(unknown).U64(99);
  Say(process, FrameType::kQueryBroken, unknown);
  Say(process, FrameType::kQueryBroken, number);
  Say(process, FrameType::kQueryBroken, number);
  EXPECT_TRUE(ground_.Until([&] { return !client->complaints.errors.empty(); }));
  RunFor(ground_.loop, Millis(5));
  EXPECT_EQ(1U, client->complaints.errors.size());
  EXPECT_TRUE(other->complaints.errors.empty());
  EXPECT_TRUE(ground_.processes.killed.empty());
}

TEST_F(QueryProcessesTest, AProcessThatSaysWhatNoneSaysIsEnded) {
  const std::pair<FrameType, std::string> said[] = {
      {FrameType::kReady, std::string(8, '\0')},  // a second time
      {FrameType::kQueryUse, "short"},
      {FrameType::kQueryUse, QueryUse().Encode() + "x"},
      {FrameType::kQueryBroken, "short"},
      {FrameType::kBootFailed, "short"},
      {FrameType::kResponse, ""},
      {FrameType::kLog, "x"},
      {FrameType::kCall, "xx"}};
  std::size_t number = 0;
  for (const auto& [type, payload] : said) {
    const auto client = Connect();
    client->Send(Packet("x"));
    const FakeProcesses::Query& process = Serve(++number);
    (void)AwaitAttach(process);
    const WorkerId id = process.id;
    // One that has served does not count as failing in a row.
    QueryUse use;
    use.served = 1;
    Say(process, FrameType::kQueryUse, use.Encode());
    Say(process, type, payload);
    EXPECT_TRUE(ground_.Until([&] {
      return std::ranges::find(ground_.processes.killed, id) != ground_.processes.killed.end();
    })) << static_cast<int>(type);
    EXPECT_TRUE(ParseQueryPacket(AwaitPacket(*client)).ok());
  }
}

TEST_F(QueryProcessesTest, UseIsKeptAndRefusalsAreSaid) {
  const auto client = Connect();
  client->Send(Packet("x"));
  const FakeProcesses::Query& process = Serve(1);
  QueryUse use;
  use.bytes = GiB(1).count * 9 / 10;
  use.refused_result = 2;
  Say(process, FrameType::kQueryUse, use.Encode());
  EXPECT_TRUE(ground_.Until([&] { return queries_.UseOf(spec_.app_id).bytes == use.bytes; }));
  EXPECT_EQ(2U, ground_.calls.RefusedOf(spec_.app_id, "query.result"));
  EXPECT_EQ(1U, ground_.logs.Count("query.result is used up"));
  EXPECT_EQ(1U, ground_.logs.Count("its quota query.bytes: "));
}

// It may have fallen to its tenant: what it reports costs the node nothing but a word a minute.
TEST_F(QueryProcessesTest, ReportsWithoutEndAreSaidOnce) {
  const auto client = Connect();
  client->Send(Packet("x"));
  const FakeProcesses::Query& process = Serve(1);
  QueryUse use;
  use.refused_result = ~std::uint32_t{0};
  use.damaged = ~std::uint32_t{0};
  constexpr std::uint64_t kReports = 100;
  for (std::uint64_t i = 0; i < kReports; ++i)
    Say(process, FrameType::kQueryUse, use.Encode());
  EXPECT_TRUE(ground_.Until([&] {
    return ground_.calls.RefusedOf(spec_.app_id, "query.result") == kReports * use.refused_result;
  }));
  EXPECT_EQ(1U, ground_.logs.Count("query.result is used up"));
  EXPECT_EQ(1U, ground_.logs.Count("file is damaged"));
}

TEST_F(QueryProcessesTest, QuotasThatChangeAreTold) {
  const auto client = Connect();
  client->Send(Packet("x"));
  const FakeProcesses::Query& process = Serve(1);
  (void)AwaitAttach(process);
  QueryQuota quota = spec_.call_quota.query;
  quota.statements_rate = 7;
  queries_.SetQuota(AppId{99}, quota);
  queries_.SetQuota(spec_.app_id, quota);
  EXPECT_EQ(7U, AwaitOrders(process).statements_rate);
}

TEST_F(QueryProcessesTest, AReleaseThatIsCheckedHasACopyThatGoesWithItsLastWorker) {
  spec_.writes = Writes::kOverlay;
  spec_.overlay = 5;
  auto client = Connect();
  client->Send(Packet("x"));
  const FakeProcesses::Query& process = AwaitProcess(1);
  EXPECT_EQ(6U, process.files.size());
  EXPECT_EQ(static_cast<std::uint32_t>(QueryMode::kCopy), AwaitOrders(process).mode);
  const WorkerId id = process.id;
  client.reset();
  EXPECT_TRUE(ground_.Until([&] {
    return std::ranges::find(ground_.processes.killed, id) != ground_.processes.killed.end();
  }));
}

TEST_F(QueryProcessesTest, AnAppThatIsForgottenHasNoProcess) {
  auto client = Connect();
  client->Send(Packet("x"));
  const WorkerId id = Serve(1).id;
  client.reset();
  bool forgotten = false;
  queries_.Forget(spec_.app_id, [&] { forgotten = true; });
  EXPECT_TRUE(ground_.Until([&] {
    return std::ranges::find(ground_.processes.killed, id) != ground_.processes.killed.end();
  }));
  EXPECT_TRUE(ground_.Until([&] { return forgotten; }));
}

// Whoever removes the directory waits for that, so it must not come again.
TEST_F(QueryProcessesTest, AnAppIsForgottenWhenNothingIsMadeInItsDirectoryAnyMore) {
  auto client = Connect();
  client->Send(Packet("x"));
  RunFor(ground_.loop, Millis(1));
  client.reset();
  bool removed = false;
  queries_.Forget(spec_.app_id, [&] {
    std::filesystem::remove_all(directory_.At("apps/3"));
    removed = true;
  });
  EXPECT_TRUE(ground_.Until([&] { return removed; }));
  RunFor(ground_.loop, Millis(20));
  EXPECT_FALSE(std::filesystem::exists(directory_.At("apps/3")));
}

TEST_F(QueryProcessesTest, QuotasThatChangeAreToldToOneThatIsBusy) {
  const auto client = Connect();
  client->Send(Packet("x"));
  const FakeProcesses::Query& process = Serve(1);
  (void)AwaitAttach(process);
  // More than its socket holds, and it reads nothing.
  constexpr std::uint32_t kChanges = 5000;
  QueryQuota quota = spec_.call_quota.query;
  for (std::uint32_t i = 1; i <= kChanges; ++i) {
    quota.statements_rate = i;
    queries_.SetQuota(spec_.app_id, quota);
  }
  spec_.call_quota.query = quota;
  const auto next = Connect();
  next->Send(Packet("y"));
  RunFor(ground_.loop, Millis(5));
  std::uint32_t told = 0;
  std::size_t packets = 0;
  bool attached = false;
  EXPECT_TRUE(ground_.Until([&] {
    std::array<char, 1> byte = {};
    if (::recv(process.control.get(), byte.data(), 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
      return attached;
    const auto received = ReceivePacket(process.control.get());
    if (!received.ok())
      return false;
    ++packets;
    const std::string& bytes = received.value().packet.bytes;
    const auto orders = DecodeMessage<QueryOrders>(bytes);
    if (orders.ok())
      told = static_cast<std::uint32_t>(orders.value().statements_rate);
    attached = !orders.ok() && DecodeMessage<QueryAttach>(bytes).ok();
    // Nobody comes before what they come under.
    EXPECT_TRUE(!attached || told == kChanges) << told;
    return false;
  }));
  EXPECT_EQ(kChanges, told);
  EXPECT_LT(packets, kChanges);
}

TEST_F(QueryProcessesTest, ItHasNoWordAboutTheCpuOfItsApp) {
  const auto client = Connect();
  client->Send(Packet("x"));
  (void)AwaitProcess(1);
  EXPECT_EQ(0U, ground_.processes.placed.back().cpu_millis);
}

TEST_F(QueryProcessesTest, WhoAsksAgainAndAgainWhileItBacksOffIsToldNowAndThen) {
  const auto client = Connect();
  std::uint32_t epoch = 1;
  std::string reason;
  for (int failures = 0; failures < 6; ++failures) {
    client->Send(Packet("x", epoch));
    const std::size_t before = ground_.processes.queries.size();
    EXPECT_TRUE(ground_.Until([&] {
      if (ground_.processes.queries.size() > before)
        ground_.processes.ExitCode(ground_.processes.queries.back().id, 1);
      return !(reason = client->Receive()).empty();
    }));
    ++epoch;
  }
  const std::size_t processes = ground_.processes.queries.size();
  std::size_t told = 0;
  const auto begun = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begun < Millis(60)) {
    (void)::send(client->worker.get(), "x", 1, MSG_DONTWAIT);
    RunFor(ground_.loop, Millis(1));
    if (!client->Receive().empty())
      ++told;
  }
  const auto passed = std::chrono::steady_clock::now() - begun;
  EXPECT_LE(told, 1 + std::chrono::ceil<Millis>(passed).count() / 50);
  EXPECT_LE(ground_.processes.queries.size(), processes + 1);
}

TEST_F(QueryProcessesTest, ACopyMakesWayForAProcessThatStarts) {
  ASSERT_TRUE(OpenQueryFiles(directory_.At("apps/3"), 0, QueryPurpose::kServe).ok());
  // Somebody writes back from the log: the copy waits, with locks of its own.
  const UniqueFd index(::open(directory_.At("apps/3/query.db-shm").c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_start = 121;
  lock.l_len = 1;
  ASSERT_EQ(0, ::fcntl(index.get(), F_OFD_SETLK, &lock));
  bool copied = false;
  std::string failed;
  queries_.Copy({.app = {3}, .from = 0, .to = directory_.At("apps/3/data/1")},
                [&](const Result<Bytes>& done) {
                  copied = true;
                  failed = done.ok() ? "" : done.error().message;
                });
  const auto client = Connect();
  client->Send(Packet("first"));
  const FakeProcesses::Query& process = Serve(1);
  EXPECT_FALSE(copied);
  EXPECT_EQ(Packet("first"), Peek(AwaitAttach(process).fd.get()));
  lock.l_type = F_UNLCK;
  ASSERT_EQ(0, ::fcntl(index.get(), F_OFD_SETLK, &lock));
  ASSERT_TRUE(ground_.Until([&] { return copied; }));
  EXPECT_EQ("", failed);
  EXPECT_TRUE(std::filesystem::exists(directory_.At("apps/3/data/1/query.db")));
  EXPECT_FALSE(std::filesystem::exists(directory_.At("apps/3/data/1.new")));
}

TEST_F(QueryProcessesTest, EachGenerationOfADatabaseHasAProcessOfItsOwn) {
  const auto former = Connect();
  former->Send(Packet("former"));
  const UniqueFd first = std::move(AwaitAttach(Serve(1)).fd);
  std::filesystem::create_directories(directory_.At("apps/3/data/1"));
  std::filesystem::copy(directory_.At("apps/3/query.db"), directory_.At("apps/3/data/1/query.db"));
  spec_.data = 1;
  const auto next = Connect();
  next->Send(Packet("next"));
  const UniqueFd second = std::move(AwaitAttach(Serve(2)).fd);
  EXPECT_EQ(Packet("former"), Peek(first.get()));
  EXPECT_EQ(Packet("next"), Peek(second.get()));
  // One that is not there is not made.
  spec_.data = 2;
  const auto lost = Connect();
  lost->Send(Packet("lost"));
  EXPECT_NE(std::string::npos, AwaitPacket(*lost).find("cannot be opened"));
  EXPECT_EQ(2U, ground_.processes.queries.size());
}

}  // namespace
}  // namespace cloister
