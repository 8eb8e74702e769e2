#include "apis/backends/redis.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/loop/listener.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/stream.h"
#include "tests/support/redis_server.h"
#include "tests/support/run_loop.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

std::string TextOf(const RedisReply& reply) {
  switch (reply.kind()) {
    case RedisReply::Kind::kNil:
      return "(nil)";
    case RedisReply::Kind::kInteger:
      return std::to_string(reply.integer());
    case RedisReply::Kind::kText:
      return "\"" + std::string(reply.text()) + "\"";
    case RedisReply::Kind::kStatus:
      return std::string(reply.text());
    case RedisReply::Kind::kError:
      return "error: " + std::string(reply.text());
    case RedisReply::Kind::kList:
      break;
  }
  std::string list = "[";
  for (std::size_t i = 0; i < reply.size(); ++i)
    list += (i == 0 ? "" : " ") + TextOf(reply.at(i));
  return list + "]";
}

// Remembers what came for each tag.
class Caller : public Redis::Handler {
 public:
  void OnReply(std::uint64_t tag, const RedisReply& reply) override {
    order.push_back(tag);
    outcomes[tag] = TextOf(reply);
  }
  void OnLost(std::uint64_t tag) override { outcomes[tag] = "lost"; }
  void OnConnected() override { ++connected; }
  void OnDisconnected(const Error& why) override { whys.push_back(why.message); }

  std::map<std::uint64_t, std::string> outcomes;
  std::vector<std::uint64_t> order;
  std::vector<std::string> whys;
  int connected = 0;
};

// A connection with a caller of its own on one loop.
struct Client {
  explicit Client(const std::string& path) { options.address.path = path; }

  void Connect() {
    options.at_turn_end = [this](std::function<void()> task) { loop.AtTurnEnd(std::move(task)); };
    redis = std::make_unique<Redis>(loop.uv(), options, caller);
  }
  bool Send(std::uint64_t tag, const std::vector<std::string_view>& words) const {
    return redis->Send(tag, words);
  }
  bool IsUp() {
    return RunUntil(loop, [this] { return redis->connected(); });
  }
  std::string Await(std::uint64_t tag) {
    (void)RunUntil(loop, [&] { return caller.outcomes.contains(tag); });
    return caller.outcomes[tag];
  }

  Loop loop;
  Caller caller;
  RedisOptions options;
  std::unique_ptr<Redis> redis;
};

TEST(RedisTest, CommandsAreAnsweredInTheirOrder) {
  const RedisServer server;
  Client client(server.socket());
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  EXPECT_TRUE(client.Send(1, {"SET", "a", std::string_view("x\0\r\n", 4)}));
  EXPECT_TRUE(client.Send(2, {"GET", "a"}));
  EXPECT_TRUE(client.Send(3, {"GET", "none"}));
  EXPECT_TRUE(client.Send(4, {"INCR", "n"}));
  EXPECT_TRUE(client.Send(5, {"MGET", "n", "none"}));
  EXPECT_TRUE(client.Send(6, {"NOSUCH"}));
  EXPECT_EQ(client.Await(6).substr(0, 18), "error: ERR unknown");
  EXPECT_EQ(client.caller.order, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(client.caller.outcomes[1], "OK");
  EXPECT_EQ(client.caller.outcomes[2], std::string("\"x\0\r\n\"", 6));
  EXPECT_EQ(client.caller.outcomes[3], "(nil)");
  EXPECT_EQ(client.caller.outcomes[4], "1");
  EXPECT_EQ(client.caller.outcomes[5], "[\"1\" (nil)]");
}

TEST(RedisTest, ALargeValueGoesBothWays) {
  const RedisServer server;
  Client client(server.socket());
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  const std::string value(1 << 20, 'v');
  EXPECT_TRUE(client.Send(1, {"SET", "a", value}));
  EXPECT_TRUE(client.Send(2, {"GET", "a"}));
  EXPECT_EQ(client.Await(2), "\"" + value + "\"");
}

TEST(RedisTest, ItLogsInAndSelectsItsDatabase) {
  const RedisServer server("user default off\nuser cache on >secret ~* +@all\n");
  Client client(server.socket());
  client.options.address.user = "cache";
  client.options.address.password = "secret";
  client.options.address.database = 3;
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  client.Send(1, {"CLIENT", "INFO"});
  const std::string info = client.Await(1);
  EXPECT_NE(info.find(" db=3 "), std::string::npos) << info;
  EXPECT_NE(info.find(" user=cache "), std::string::npos) << info;
}

TEST(RedisTest, AWrongPasswordIsSaid) {
  const RedisServer server("requirepass secret\n");
  Client client(server.socket());
  client.options.address.password = "wrong";
  client.Connect();
  ASSERT_TRUE(RunUntil(client.loop, [&] { return !client.redis->trouble().empty(); }));
  EXPECT_NE(client.redis->trouble().find("WRONGPASS"), std::string::npos)
      << client.redis->trouble();
  EXPECT_FALSE(client.Send(1, {"PING"}));
  EXPECT_EQ(client.caller.connected, 0);
}

TEST(RedisTest, WithoutAServerCommandsFailAtOnceUntilThereIsOne) {
  RedisServer server;
  server.Kill();
  Client client(server.socket());
  client.Connect();
  EXPECT_FALSE(client.Send(1, {"PING"}));
  ASSERT_TRUE(RunUntil(client.loop, [&] { return !client.redis->trouble().empty(); }));
  server.Start();
  ASSERT_TRUE(client.IsUp());
  EXPECT_EQ(client.redis->trouble(), "");
  EXPECT_TRUE(client.Send(1, {"PING"}));
  EXPECT_EQ(client.Await(1), "PONG");
  EXPECT_EQ(client.redis->counters().refused, 1U);
}

TEST(RedisTest, AServerThatIsKilledInAPipelineLosesWhatItDidNotAnswer) {
  RedisServer server;
  Client client(server.socket());
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  server.Stop();
  for (std::uint64_t tag = 1; tag <= 100; ++tag)
    EXPECT_TRUE(client.Send(tag, {"PING"}));
  RunFor(client.loop, Millis(5));
  server.Kill();
  EXPECT_EQ(client.Await(100), "lost");
  EXPECT_EQ(client.caller.outcomes.size(), 100U);
  EXPECT_EQ(client.redis->counters().lost, 100U);
  server.Start();
  ASSERT_TRUE(client.IsUp());
  EXPECT_EQ(client.caller.connected, 2);
}

TEST(RedisTest, AServerThatHangsLosesAllThatWaitsAtTheDeadline) {
  const RedisServer server;
  Client client(server.socket());
  client.options.command_timeout = Millis(100);
  client.options.connect_timeout = Millis(100);
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  server.Stop();
  client.Send(1, {"PING"});
  client.Send(2, {"PING"});
  EXPECT_EQ(client.Await(2), "lost");
  EXPECT_EQ(client.caller.outcomes[1], "lost");
  EXPECT_FALSE(client.Send(3, {"PING"}));
  // The kernel still accepts for it: that is no server.
  ASSERT_TRUE(RunUntil(client.loop, [&] {
    return client.redis->trouble() == "the server does not accept us in time";
  }));
  server.Continue();
  EXPECT_TRUE(client.IsUp());
}

TEST(RedisTest, WhatMayWaitIsBounded) {
  const RedisServer server;
  Client client(server.socket());
  client.options.commands_max = 3;
  client.options.bytes_max = Bytes{20};
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  EXPECT_FALSE(client.Send(1, {"GET", "123456789012345678"}));
  EXPECT_TRUE(client.Send(2, {"GET", "12345678901234567"}));
  EXPECT_FALSE(client.Send(3, {"G"}));
  EXPECT_EQ(client.Await(2), "(nil)");
  EXPECT_TRUE(client.Send(4, {"PING"}));
  EXPECT_TRUE(client.Send(5, {"PING"}));
  EXPECT_TRUE(client.Send(6, {"PING"}));
  EXPECT_FALSE(client.Send(7, {"PING"}));
  EXPECT_EQ(client.Await(6), "PONG");
  EXPECT_EQ(client.redis->counters().refused, 3U);
}

TEST(RedisTest, DestroyedInTheMiddleItCallsNobody) {
  const RedisServer server;
  Client client(server.socket());
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  client.Send(1, {"PING"});
  client.redis.reset();
  RunFor(client.loop, Millis(5));
  EXPECT_TRUE(client.caller.outcomes.empty());
}

int FreePort() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(fd.valid());
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
  CHECK(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

TEST(RedisTest, AServerIsReachedOverTcp) {
  const int port = FreePort();
  const RedisServer server("port " + std::to_string(port) + "\nbind 127.0.0.1\n");
  Client client("");
  client.options.address.host = "127.0.0.1";
  client.options.address.port = static_cast<std::uint16_t>(port);
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  const std::string value(1 << 20, 'v');
  EXPECT_TRUE(client.Send(1, {"SET", "a", value}));
  EXPECT_TRUE(client.Send(2, {"GET", "a"}));
  EXPECT_EQ(client.Await(2), "\"" + value + "\"");
}

// A host has several addresses, and the server need not listen on the first one.
TEST(RedisTest, EachAddressOfAHostIsTried) {
  const int port = FreePort();
  const RedisServer server("port " + std::to_string(port) + "\nbind 127.0.0.1\n");
  Client client("");
  client.options.address.host = "localhost";
  client.options.address.port = static_cast<std::uint16_t>(port);
  client.Connect();
  EXPECT_TRUE(client.IsUp());
}

TEST(RedisTest, AServerIsFoundByItsAddress) {
  Loop loop;
  Caller caller;
  RedisOptions options;
  options.address.host = "localhost";
  options.address.port = 1;  // nobody is there
  options.at_turn_end = [&loop](std::function<void()> task) { loop.AtTurnEnd(std::move(task)); };
  const Redis redis(loop.uv(), options, caller);
  ASSERT_TRUE(RunUntil(loop, [&] { return !redis.trouble().empty(); }));
  EXPECT_EQ(redis.trouble(), "connecting: connection refused");
}

TEST(RedisTest, ANameThatNobodyHasIsTroubleOnly) {
  Loop loop;
  Caller caller;
  RedisOptions options;
  options.address.host = "no-such-host.invalid";
  options.at_turn_end = [&loop](std::function<void()> task) { loop.AtTurnEnd(std::move(task)); };
  options.connect_timeout = Millis(200);
  Redis redis(loop.uv(), options, caller);
  EXPECT_TRUE(RunUntil(loop, [&] { return !redis.trouble().empty(); }));
}

// A server that accepts us and then says one thing to whatever it is asked.
class ScriptedServer : private Listener::Handler, private Stream::Handler {
 public:
  struct Script {
    std::string says;
    bool closes = false;
  };

  ScriptedServer(Loop& loop, Script script)
      : loop_(loop), script_(std::move(script)), listener_(loop, Bound(), *this) {
    listener_.Start();
  }

  std::string socket() const { return directory_.At("s"); }

 private:
  UniqueFd Bound() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(fd.valid());
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = socket();
    path.copy(static_cast<char*>(address.sun_path), path.size());
    CHECK(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    CHECK(::listen(fd.get(), 8) == 0);
    return fd;
  }
  void OnAccepted(UniqueFd fd) override {
    greeted_ = false;
    stream_ = std::make_unique<Stream>(loop_, std::move(fd), static_cast<Stream::Handler&>(*this));
    stream_->ReadStart();
  }
  void OnExhausted(int /*fd*/) override {}
  void OnData(std::string_view /*bytes*/) override {
    if (!std::exchange(greeted_, true))
      return stream_->Write("+PONG\r\n");
    stream_->Write(script_.says);
    if (script_.closes)
      stream_->ShutdownWrite();
  }
  void OnEnd(bool /*broken*/) override { stream_.reset(); }

  Loop& loop_;
  TempDir directory_;
  Script script_;
  Listener listener_;
  std::unique_ptr<Stream> stream_;
  bool greeted_ = false;
};

struct Hostile {
  const char* name;
  std::string says;
  std::string why;  // the connection ends with
  bool closes = false;
};

std::string Repeated(const std::string& text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i)
    out += text;
  return out;
}

class HostileRedisTest : public testing::TestWithParam<Hostile> {};

TEST_P(HostileRedisTest, CostsTheConnectionAndLosesWhatWaits) {
  const Hostile& hostile = GetParam();
  Client client("");
  ScriptedServer server(client.loop, {.says = hostile.says, .closes = hostile.closes});
  client.options.address.path = server.socket();
  client.options.command_timeout = Millis(200);
  client.options.reply_max = KiB(64);
  client.options.elements_max = 100;
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  ASSERT_TRUE(client.Send(1, {"GET", "a"}));
  ASSERT_TRUE(client.Send(2, {"GET", "b"}));
  EXPECT_EQ(client.Await(2), "lost");
  ASSERT_EQ(client.caller.whys.size(), 1U);
  EXPECT_NE(client.caller.whys[0].find(hostile.why), std::string::npos) << client.caller.whys[0];
  EXPECT_TRUE(client.IsUp()) << "a new connection is made";
}

INSTANTIATE_TEST_SUITE_P(
    Servers, HostileRedisTest,
    testing::Values(Hostile{"Garbage", "HTTP/1.1 400 Bad Request\r\n", "Protocol error"},
                    Hostile{"NothingAtAll", "", "in time"},
                    Hostile{"HalfAnAnswer", "$5\r\nhel", "in time"},
                    Hostile{"OneAnswerThenSilence", "$1\r\na\r\n", "in time"},
                    Hostile{"OneAnswerThenTheEnd", "$1\r\na\r\n", "closed", true},
                    Hostile{"TheEnd", "", "closed", true},
                    Hostile{"ALongAnswer", "$70000\r\n" + std::string(70000, 'x'), "larger"},
                    Hostile{"AHugeList", "*2000000000\r\n", "memory"},
                    Hostile{"AListJustTooLong", "*101\r\n", "memory"},
                    Hostile{"ManyLists", "*50\r\n*51\r\n", "memory"},
                    Hostile{"NestedLists", Repeated("*1\r\n", 20), "nested"},
                    Hostile{"ManySmallPieces",
                            "*100\r\n" + Repeated("$700\r\n" + std::string(700, 'y') + "\r\n", 99),
                            "larger"},
                    Hostile{"ANegativeLength", "$-5\r\n", "out of range"},
                    Hostile{"ALengthBeyondAnyNumber", "$99999999999999999999999\r\n", "Bad"},
                    Hostile{"ListOfNegativeLength", "*-7\r\n", "ulti-bulk"}),
    [](const testing::TestParamInfo<Hostile>& each) { return each.param.name; });

TEST(RedisTest, AnAnswerThatNobodyAskedForEndsTheConnection) {
  Client client("");
  ScriptedServer server(client.loop, {.says = "+OK\r\n+OK\r\n"});
  client.options.address.path = server.socket();
  client.Connect();
  ASSERT_TRUE(client.IsUp());
  client.Send(1, {"GET", "a"});
  ASSERT_TRUE(RunUntil(client.loop, [&] { return !client.caller.whys.empty(); }));
  EXPECT_EQ(client.caller.outcomes[1], "OK");
  EXPECT_EQ(client.caller.whys[0], "an answer to what nobody asked");
}

}  // namespace
}  // namespace cloister
