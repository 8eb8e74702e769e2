#include "daemon/http/server.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "apis/base/check.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/messages.h"
#include "tests/daemon/http/fixture.h"

namespace cloister {
namespace {

using testing::HasSubstr;

struct ListeningSocket {
  UniqueFd fd;
  std::uint16_t port = 0;
};

ListeningSocket ListenOnTcp() {
  ListeningSocket made;
  made.fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  CHECK(made.fd.valid());
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(0, ::bind(made.fd.get(), reinterpret_cast<sockaddr*>(&address), size));
  EXPECT_EQ(0, ::listen(made.fd.get(), 1024));
  EXPECT_EQ(0, ::getsockname(made.fd.get(), reinterpret_cast<sockaddr*>(&address), &size));
  made.port = ntohs(address.sin_port);
  return made;
}

TestClient ConnectTo(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(fd.valid());
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(0, ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address));
  return TestClient(std::move(fd));
}

class Drained : public DrainListener {
 public:
  void OnDrained() override { ++drained; }
  int drained = 0;
};

class ServerTest : public HttpServerTest {
 protected:
  std::uint16_t Listen() {
    ListeningSocket socket = ListenOnTcp();
    Server().Listen(std::move(socket.fd));
    return socket.port;
  }
};

TEST_F(ServerTest, ServesTcpAndKnowsTheAddress) {
  const std::uint16_t port = Listen();
  handler.routes["/"] = [](Exchange& exchange) {
    EXPECT_EQ("127.0.0.1", exchange.request().remote_addr);
    EXPECT_NE(0, exchange.request().remote_port);
    EXPECT_FALSE(exchange.request().peer_uid.has_value());
    exchange.Respond(200, {}, "");
  };
  Run([&] {
    TestClient client = ConnectTo(port);
    client.Send(GetOf("/"));
    EXPECT_EQ(200, client.Receive().status);
  });
  EXPECT_EQ(1u, Server().counters().accepted);
}

constexpr std::string_view kForwarding =
    "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
    "X-Forwarded-Host: evil\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Other: 1\r\n";

TEST_F(ServerTest, NobodySpeaksForAnotherUnlessTrusted) {
  const std::uint16_t port = Listen();
  handler.routes["/"] = [](Exchange& exchange) {
    const HttpRequest& request = exchange.request();
    EXPECT_EQ("127.0.0.1", request.remote_addr);
    EXPECT_NE(0, request.remote_port);
    EXPECT_EQ("http", request.scheme);
    ASSERT_EQ(2U, request.headers.size());
    EXPECT_EQ("host", request.headers[0].name);
    EXPECT_EQ("x-other", request.headers[1].name);
    exchange.Respond(200, {}, "");
  };
  Run([&] {
    TestClient client = ConnectTo(port);
    client.Send(GetOf("/", kForwarding));
    EXPECT_EQ(200, client.Receive().status);
  });
  EXPECT_THAT(access_log.lines.front(), HasSubstr("remote=127.0.0.1"));
}

TEST_F(ServerTest, ATrustedProxySpeaksForItsClients) {
  settings.trusted_proxies = {IpNetwork::Parse("127.0.0.0/8").value()};
  const std::uint16_t port = Listen();
  handler.routes["/"] = [](Exchange& exchange) {
    const HttpRequest& request = exchange.request();
    EXPECT_EQ("203.0.113.9", request.remote_addr);
    EXPECT_EQ(0, request.remote_port);
    EXPECT_EQ("https", request.scheme);
    EXPECT_EQ("6.6.6.6, 203.0.113.9", request.Header("x-forwarded-for"));
    exchange.Respond(200, {}, "");
  };
  handler.routes["/plain"] = [](Exchange& exchange) {
    EXPECT_EQ("127.0.0.1", exchange.request().remote_addr);
    EXPECT_EQ("http", exchange.request().scheme);
    exchange.Respond(200, {}, "");
  };
  Run([&] {
    TestClient client = ConnectTo(port);
    client.Send(GetOf("/", kForwarding));
    EXPECT_EQ(200, client.Receive().status);
    client.Send(GetOf("/plain"));
    EXPECT_EQ(200, client.Receive().status);
  });
  ASSERT_EQ(2U, access_log.lines.size());
  EXPECT_THAT(access_log.lines[0], HasSubstr("remote=203.0.113.9"));
  EXPECT_THAT(access_log.lines[1], HasSubstr("remote=127.0.0.1"));
}

TEST_F(ServerTest, ClientsOfAProxyCountAsTheProxysConnections) {
  settings.trusted_proxies = {IpNetwork::Parse("127.0.0.1").value()};
  settings.loopback_limit = LoopbackLimit::kCounted;
  settings.connections_per_address_max = 1;
  const std::uint16_t port = Listen();
  Run([&] {
    TestClient first = ConnectTo(port);
    first.Send(GetOf("/", "X-Forwarded-For: 203.0.113.9\r\n"));
    EXPECT_EQ(200, first.Receive().status);
    TestClient second = ConnectTo(port);
    second.Send(GetOf("/", "X-Forwarded-For: 203.0.113.10\r\n"));
    EXPECT_EQ(503, second.Receive().status);
  });
}

TEST_F(ServerTest, ConnectionsOfTheNodeAreLimited) {
  settings.connections_max = 3;
  const std::uint16_t port = Listen();
  Run([&] {
    std::vector<TestClient> clients;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(ConnectTo(port));
      clients.back().Send(GetOf("/"));
      EXPECT_EQ(200, clients.back().Receive().status);
    }
    TestClient refused = ConnectTo(port);
    ReceivedResponse response = refused.Receive();
    EXPECT_EQ(503, response.status);
    EXPECT_TRUE(response.whole);
    EXPECT_THAT(response.body, HasSubstr(R"("code":"too_many_connections")"));
    EXPECT_TRUE(refused.AtEnd());
    clients.pop_back();
    ASSERT_TRUE(Eventually([&] { return Server().connections() == 2; }));
    TestClient next = ConnectTo(port);
    next.Send(GetOf("/"));
    EXPECT_EQ(200, next.Receive().status);
  });
  EXPECT_EQ(1u, Server().counters().over_node_limit);
}

TEST_F(ServerTest, ConnectionsOfAnAddressAreLimited) {
  settings.connections_per_address_max = 2;
  settings.loopback_limit = LoopbackLimit::kCounted;
  const std::uint16_t port = Listen();
  Run([&] {
    std::vector<TestClient> clients;
    for (int i = 0; i < 2; ++i) {
      clients.push_back(ConnectTo(port));
      clients.back().Send(GetOf("/"));
      EXPECT_EQ(200, clients.back().Receive().status);
    }
    TestClient refused = ConnectTo(port);
    EXPECT_EQ(503, refused.Receive().status);
    clients.clear();
    ASSERT_TRUE(Eventually([&] { return Server().connections() == 0; }));
    TestClient next = ConnectTo(port);
    next.Send(GetOf("/"));
    EXPECT_EQ(200, next.Receive().status);
  });
  EXPECT_EQ(1u, Server().counters().over_address_limit);
}

TEST_F(ServerTest, LoopbackIsExemptFromTheLimitOfAnAddress) {
  settings.connections_per_address_max = 1;
  const std::uint16_t port = Listen();
  Run([&] {
    std::vector<TestClient> clients;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(ConnectTo(port));
      clients.back().Send(GetOf("/"));
      EXPECT_EQ(200, clients.back().Receive().status);
    }
  });
}

TEST_F(ServerTest, DrainingClosesIdleConnectionsAndLetsBusyOnesFinish) {
  const std::uint16_t port = Listen();
  Drained drained;
  Run([&] {
    TestClient idle = Connect();
    idle.Send(GetOf("/"));
    EXPECT_EQ(200, idle.Receive().status);
    TestClient busy = Connect();
    busy.Send(GetOf("/hold") + GetOf("/pipelined"));
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    OnLoop([&] { Server().Drain(DrainMode::kClose, drained); });
    EXPECT_TRUE(idle.AtEnd());
    OnLoop([&] {
      EXPECT_EQ(0, drained.drained);
      handler.held.front()->Respond(200, {}, "held");
    });
    // What is behind it was accepted too: the last answer says that it is the last.
    ReceivedResponse first = busy.Receive();
    EXPECT_EQ("held", first.body);
    EXPECT_FALSE(first.headers.contains("connection"));
    ReceivedResponse last = busy.Receive();
    EXPECT_EQ("hello /pipelined", last.body);
    EXPECT_EQ("close", last.headers["connection"]);
    EXPECT_TRUE(busy.AtEnd());
    busy.Close();
    EXPECT_TRUE(Eventually([&] { return drained.drained == 1; }));
    // Nobody listens there any more.
    UniqueFd late(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_NE(0, ::connect(late.get(), reinterpret_cast<sockaddr*>(&address), sizeof address));
  });
}

TEST_F(ServerTest, DrainingAnEmptyServerEndsAtOnce) {
  Drained drained;
  Run([&] {
    OnLoop([&] { Server().Drain(DrainMode::kHandOver, drained); });
    EXPECT_TRUE(Eventually([&] { return drained.drained == 1; }));
  });
}

class HandOverTest : public ServerTest {
 protected:
  HandOverTest() : drained(*this) {
    for (const char* const path : {"/", "/1", "/2", "/3"})
      new_handler.routes[path] = [](Exchange& exchange) {
        exchange.Respond(200, {}, "new " + std::string(exchange.request().target));
      };
  }

  void Drain(DrainMode mode) {
    OnLoop([&] { Server().Drain(mode, drained); });
  }
  // Waits until the old server has read what was sent before.
  void AllIsRead() {
    TestClient probe = Connect();
    probe.Send(GetOf("/probe"));
    EXPECT_EQ("hello /probe", probe.Receive().body);
    probe.Close();
    EXPECT_TRUE(Eventually([&] { return Server().connections() == 1; }));
  }
  // A response that says nothing of the connection's end.
  static std::string BodyOf(TestClient& client) {
    ReceivedResponse response = client.Receive();
    EXPECT_FALSE(response.headers.contains("connection"));
    return response.body;
  }

  // Gives what it gets to the new server, once that adopts; keeps it until then.
  class ToNewServer : public Drained {
   public:
    explicit ToNewServer(HandOverTest& test) : test_(test) {}
    void OnReleased(ReleasedConnection connection) override {
      kept.push_back(std::move(connection));
      if (test_.new_server)
        AdoptAll(*test_.new_server);
    }
    void AdoptAll(HttpServer& server) {
      for (ReleasedConnection& connection : std::exchange(kept, {}))
        server.Adopt(std::move(connection));
    }
    std::vector<ReleasedConnection> kept;

   private:
    HandOverTest& test_;
  };

  void StartNewServer() {
    OnLoop([this] {
      new_server = std::make_unique<HttpServer>(loop, clock, settings, new_handler, nullptr);
      drained.AdoptAll(*new_server);
    });
  }

  TestHandler new_handler;
  std::unique_ptr<HttpServer> new_server;
  ToNewServer drained;
};

TEST_F(HandOverTest, AnIdleConnectionGoesAtOnce) {
  StartNewServer();
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/"));
    EXPECT_EQ("hello /", BodyOf(client));
    Drain(DrainMode::kHandOver);
    EXPECT_TRUE(Eventually([&] { return drained.drained == 1; }));
    client.Send(GetOf("/"));
    EXPECT_EQ("new /", BodyOf(client));
  });
  EXPECT_EQ(1u, new_server->counters().adopted);
}

TEST_F(HandOverTest, APartOfAHeadGoesToo) {
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/"));
    EXPECT_EQ("hello /", BodyOf(client));
    client.Send("GET /1 HTTP/1.1\r\nHo");
    AllIsRead();
    Drain(DrainMode::kHandOver);
    ASSERT_TRUE(Eventually([&] { return drained.drained == 1; }));
    ASSERT_EQ("GET /1 HTTP/1.1\r\nHo", drained.kept.front().read_ahead);
    StartNewServer();
    client.Send("st: a\r\n\r\n");
    EXPECT_EQ("new /1", BodyOf(client));
  });
  EXPECT_THAT(handler.seen, testing::ElementsAre("/", "/probe"));
}

TEST_F(HandOverTest, WhatIsPipelinedBehindARequestIsLeftToTheNewServer) {
  StartNewServer();
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/hold") + GetOf("/1") + GetOf("/2") + "GET /3 HT");
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    Drain(DrainMode::kHandOver);
    OnLoop([&] { handler.held.front()->Respond(200, {}, "held"); });
    EXPECT_EQ("held", BodyOf(client));
    EXPECT_EQ("new /1", BodyOf(client));
    EXPECT_EQ("new /2", BodyOf(client));
    client.Send("TP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ("new /3", BodyOf(client));
    EXPECT_TRUE(Eventually([&] { return drained.drained == 1; }));
  });
  EXPECT_THAT(handler.seen, testing::ElementsAre("/hold"));
}

TEST_F(HandOverTest, ARequestWhoseHeadWasCompleteIsAnsweredByTheOldServer) {
  StartNewServer();
  Run([&] {
    TestClient client = Connect();
    client.Send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    AllIsRead();
    Drain(DrainMode::kHandOver);
    client.Send("body" + GetOf("/1"));
    EXPECT_EQ("hello /upload", BodyOf(client));
    EXPECT_EQ("new /1", BodyOf(client));
  });
}

TEST_F(HandOverTest, AnAnswerIsTakenWholeBeforeItsConnectionGoes) {
  const std::string large(8u << 20, 'x');
  handler.routes["/large"] = [&](Exchange& exchange) { exchange.Respond(200, {}, large); };
  StartNewServer();
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/large") + GetOf("/1"));
    ASSERT_TRUE(Eventually([&] { return handler.seen.size() == 1; }));
    Drain(DrainMode::kHandOver);
    EXPECT_EQ(large, BodyOf(client));
    EXPECT_EQ("new /1", BodyOf(client));
  });
}

TEST_F(HandOverTest, AClientThatSendsNothingMoreGetsItsAnswersFromTheNewServer) {
  StartNewServer();
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/hold") + GetOf("/1") + GetOf("/2"));
    client.ShutdownWrite();
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    Drain(DrainMode::kHandOver);
    OnLoop([&] { handler.held.front()->Respond(200, {}, "held"); });
    for (const char* const body : {"held", "new /1", "new /2"})
      EXPECT_EQ(body, client.Receive().body);
    EXPECT_TRUE(client.AtEnd());
  });
}

TEST_F(HandOverTest, WhatIsReadAheadFitsAMessage) {
  std::string requests;
  while (requests.size() < (1u << 20))
    requests += GetOf("/1");
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/hold"));
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    const timeval patience = {.tv_sec = 0, .tv_usec = 300000};
    ::setsockopt(client.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    EXPECT_FALSE(client.Send(requests)) << "nobody takes so much";
    Drain(DrainMode::kHandOver);
    OnLoop([&] { handler.held.front()->Respond(200, {}, "held"); });
    EXPECT_EQ("held", BodyOf(client));
    EXPECT_TRUE(Eventually([&] { return drained.kept.size() == 1; }));
  });
  const std::string& read_ahead = drained.kept.front().read_ahead;
  EXPECT_GE(read_ahead.size(), settings.read_ahead_max.count);
  EXPECT_LE(EncodeMessage(ClientConnection{.server = 1, .read_ahead = read_ahead}).size(),
            kControlMessageMax);
}

TEST_F(HandOverTest, WhatNobodyAdoptsIsAnsweredAndClosed) {
  Run([&] {
    TestClient idle = Connect();
    idle.Send(GetOf("/"));
    EXPECT_EQ("hello /", BodyOf(idle));
    TestClient half = Connect();
    half.Send("GET /half HTTP/1.1\r\nHo");
    TestClient busy = Connect();
    busy.Send(GetOf("/hold") + GetOf("/behind"));
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    Drain(DrainMode::kHandOver);
    ASSERT_TRUE(Eventually([&] { return drained.kept.size() == 2; }));
    EXPECT_EQ(0, drained.drained);
    OnLoop([&] {
      Server().Drain(DrainMode::kClose, drained);
      drained.AdoptAll(Server());
      handler.held.front()->Respond(200, {}, "held");
    });
    EXPECT_TRUE(idle.AtEnd());
    EXPECT_EQ("held", BodyOf(busy));
    half.Send("st: a\r\n\r\n");
    for (TestClient* const client : {&busy, &half}) {
      EXPECT_EQ("close", client->Receive().headers["connection"]);
      EXPECT_TRUE(client->AtEnd());
      client->Close();
    }
    EXPECT_TRUE(Eventually([&] { return drained.drained == 1; }));
  });
}

TEST_F(HandOverTest, AnAdoptedConnectionCountsAgainstTheLimit) {
  settings.connections_max = 2;
  const std::uint16_t port = Listen();
  Run([&] {
    std::vector<TestClient> old_clients;
    for (int i = 0; i < 2; ++i) {
      old_clients.push_back(ConnectTo(port));
      old_clients.back().Send(GetOf("/"));
      EXPECT_EQ("hello /", BodyOf(old_clients.back()));
    }
    settings.connections_max = 1;
    StartNewServer();
    Drain(DrainMode::kHandOver);
    EXPECT_TRUE(Eventually([&] { return drained.drained == 1; }));
    EXPECT_EQ(1u, new_server->connections());
    EXPECT_EQ(1u, new_server->counters().over_node_limit);
  });
}

TEST_F(HandOverTest, TheTimeOfAHeadBeginsAnew) {
  Run([&] {
    TestClient client = Connect();
    client.Send("GET /1 HTTP/1.1\r\nHo");
    AllIsRead();
    Drain(DrainMode::kHandOver);
    ASSERT_TRUE(Eventually([&] { return drained.drained == 1; }));
    settings.head_timeout = Millis(50);
    StartNewServer();
    EXPECT_EQ(408, client.Receive().status);
  });
  EXPECT_EQ(1u, new_server->counters().timed_out);
}

TEST_F(ServerTest, AServerThatIsDestroyedTellsItsListeners) {
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/hold"));
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    TestClient quiet = Connect();
    quiet.Send("GET / HT");
    OnLoop([&] { server.reset(); });
    EXPECT_TRUE(client.AtEnd());
    EXPECT_TRUE(quiet.AtEnd());
  });
  EXPECT_EQ(1, handler.clients_gone);
}

Micros ThreadCpu() {
  timespec time = {};
  CHECK(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0);
  return Micros(time.tv_sec * 1'000'000 + time.tv_nsec / 1000);
}

// As many as the limit of descriptors permits, two for each.
std::size_t ManyConnections() {
  rlimit limit = {};
  EXPECT_EQ(0, ::getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = limit.rlim_max;
  EXPECT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &limit));
  constexpr rlim_t kOthers = 200;
  return static_cast<std::size_t>(std::min<rlim_t>((limit.rlim_cur - kOthers) / 2, 10000));
}

TEST_F(ServerTest, TenThousandIdleConnectionsCostLittle) {
  const std::size_t count = ManyConnections();
  Server();
  std::vector<TestClient> clients;
  clients.reserve(count);
  const std::size_t heap_before = ::mallinfo2().uordblks;
  Run([&] {
    for (std::size_t i = 0; i < count; ++i) {
      clients.push_back(Connect());
      clients.back().Send(GetOf("/"));
      ASSERT_EQ(200, clients.back().Receive().status);
    }
    access_log.lines.clear();
    access_log.lines.shrink_to_fit();
    handler.seen.clear();
    handler.seen.shrink_to_fit();
    const Micros cpu_before = ThreadCpu();
    std::this_thread::sleep_for(Millis(500));
    EXPECT_LT(ThreadCpu() - cpu_before, Micros(20'000));
    const std::size_t heap = ::mallinfo2().uordblks - heap_before;
    RecordProperty("connections", static_cast<int>(count));
    RecordProperty("bytes_per_connection", static_cast<int>(heap / count));
#ifndef CLOISTER_SANITIZED
    EXPECT_LT(heap / count, 4096u);
#endif
    // And they still work.
    clients.front().Send(GetOf("/"));
    EXPECT_EQ(200, clients.front().Receive().status);
    clients.back().Send(GetOf("/"));
    EXPECT_EQ(200, clients.back().Receive().status);
  });
  EXPECT_EQ(count, Server().connections());
}

}  // namespace
}  // namespace cloister
