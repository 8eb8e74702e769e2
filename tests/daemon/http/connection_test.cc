#include "daemon/http/connection.h"

#include <set>

#include "tests/daemon/http/fixture.h"

namespace cloister {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

TEST(ConnectionStateTest, EveryPairIsAsDrawn) {
  using S = ConnectionState;
  const std::set<std::pair<S, S>> permitted = {
      {S::kIdle, S::kHead},         {S::kIdle, S::kBody},           {S::kIdle, S::kHandling},
      {S::kIdle, S::kFlushing},     {S::kIdle, S::kClosed},         {S::kHead, S::kBody},
      {S::kHead, S::kHandling},     {S::kHead, S::kFlushing},       {S::kHead, S::kClosed},
      {S::kBody, S::kHandling},     {S::kBody, S::kFlushing},       {S::kBody, S::kClosed},
      {S::kHandling, S::kIdle},     {S::kHandling, S::kResponding}, {S::kHandling, S::kFlushing},
      {S::kHandling, S::kClosed},   {S::kResponding, S::kIdle},     {S::kResponding, S::kFlushing},
      {S::kResponding, S::kClosed}, {S::kFlushing, S::kIdle},       {S::kFlushing, S::kLingering},
      {S::kFlushing, S::kClosed},   {S::kLingering, S::kClosed}};
  for (std::size_t i = 0; i < kConnectionStates * kConnectionStates; ++i) {
    const auto from = static_cast<S>(i / kConnectionStates);
    const auto to = static_cast<S>(i % kConnectionStates);
    EXPECT_EQ(permitted.contains({from, to}), MayMove(from, to))
        << kConnectionStateNames[i / kConnectionStates] << " to "
        << kConnectionStateNames[i % kConnectionStates];
  }
}

class ConnectionTest : public HttpServerTest {};

TEST_F(ConnectionTest, AnswersRequestAfterRequest) {
  Run([&] {
    TestClient client = Connect();
    std::set<std::string> ids;
    for (const char* const target : {"/1", "/2", "/3"}) {
      client.Send(GetOf(target));
      ReceivedResponse response = client.Receive();
      EXPECT_EQ(200, response.status);
      EXPECT_EQ("hello " + std::string(target), response.body);
      EXPECT_EQ("text/plain", response.headers["content-type"]);
      EXPECT_THAT(response.headers["date"], testing::MatchesRegex("..., .* GMT"));
      EXPECT_THAT(response.headers["x-request-id"], SizeIs(26));
      EXPECT_FALSE(response.headers.contains("connection"));
      ids.insert(response.headers["x-request-id"]);
    }
    EXPECT_THAT(ids, SizeIs(3));
  });
  EXPECT_EQ(3u, Server().counters().requests);
}

TEST_F(ConnectionTest, ConnectionCloseIsHonoured) {
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/", "Connection: close\r\n"));
    ReceivedResponse response = client.Receive();
    EXPECT_EQ("close", response.headers["connection"]);
    EXPECT_TRUE(client.AtEnd());
    EXPECT_FALSE(client.reset());
  });
}

TEST_F(ConnectionTest, Http10ClosesUnlessKeepAliveIsAskedFor) {
  Run([&] {
    TestClient client = Connect();
    client.Send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ("keep-alive", client.Receive().headers["connection"]);
    client.Send("GET /2 HTTP/1.0\r\n\r\n");
    EXPECT_EQ("close", client.Receive().headers["connection"]);
    EXPECT_TRUE(client.AtEnd());
  });
}

TEST_F(ConnectionTest, PipelinedRequestsAreAnsweredInOrder) {
  constexpr int kRequests = 300;
  Run([&] {
    TestClient client = Connect();
    std::string requests;
    for (int i = 0; i < kRequests; ++i)
      requests += GetOf("/" + std::to_string(i));
    client.Send(requests);
    for (int i = 0; i < kRequests; ++i)
      ASSERT_EQ("hello /" + std::to_string(i), client.Receive().body);
  });
}

TEST_F(ConnectionTest, TheNextPipelinedRequestWaitsForTheAnswer) {
  const auto answer_held = [&](int seen) {
    EXPECT_THAT(handler.seen, SizeIs(seen));
    Exchange& exchange = *handler.held.front();
    handler.held.pop_front();
    exchange.Respond(200, {}, "held");
    // The next one is not handled from within this call.
    EXPECT_THAT(handler.seen, SizeIs(seen));
  };
  const auto one_is_held = [&] { return handler.held.size() == 1; };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/hold?1") + GetOf("/hold?2") + GetOf("/3"));
    for (int i = 1; i <= 2; ++i) {
      ASSERT_TRUE(Eventually(one_is_held));
      OnLoop([&] { answer_held(i); });
      EXPECT_EQ("held", client.Receive().body);
    }
    EXPECT_EQ("hello /3", client.Receive().body);
  });
}

TEST_F(ConnectionTest, ReadAheadIsBounded) {
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/hold"));
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    std::string requests;
    for (int i = 0; i < 100; ++i)
      requests += GetOf("/x");
    // Sends until nobody takes anything for a while.
    std::size_t sent = 0;
    const timeval patience = {.tv_sec = 0, .tv_usec = 300000};
    ::setsockopt(client.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    std::size_t at = 0;
    while (sent < (64u << 20)) {
      const ssize_t size =
          ::send(client.fd(), requests.data() + at, requests.size() - at, MSG_NOSIGNAL);
      if (size <= 0)
        break;
      sent += static_cast<std::size_t>(size);
      at = (at + static_cast<std::size_t>(size)) % requests.size();
    }
    EXPECT_LT(sent, 2u << 20);  // two socket buffers and the limit
    OnLoop([&] { handler.held.front()->Respond(200, {}, "first"); });
    EXPECT_EQ("first", client.Receive().body);
    const std::size_t whole = sent / GetOf("/x").size();
    for (std::size_t i = 0; i < whole; ++i)
      ASSERT_EQ("hello /x", client.Receive().body) << i;
  });
}

TEST_F(ConnectionTest, HeadersMayArriveByteByByte) {
  Run([&] {
    TestClient client = Connect();
    for (int i = 0; i < 2; ++i) {
      for (const char c : GetOf("/slow"))
        client.Send({&c, 1});
      EXPECT_EQ("hello /slow", client.Receive().body);
    }
  });
}

TEST_F(ConnectionTest, BodiesThatMustNotBeAreDropped) {
  handler.routes["/204"] = [](Exchange& exchange) { exchange.Respond(204, {}, "never"); };
  handler.routes["/304"] = [](Exchange& exchange) { exchange.Respond(304, {}, "never"); };
  handler.routes["/pieces"] = [](Exchange& exchange) {
    exchange.Begin(200, "", {}, std::nullopt);
    EXPECT_TRUE(exchange.Write("never"));
    EXPECT_EQ(BodyFit::kExact, exchange.Finish());
  };
  Run([&] {
    TestClient client = Connect();
    client.Send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
    ReceivedResponse head = client.Receive("HEAD");
    EXPECT_EQ("8", head.headers["content-length"]);
    client.Send(GetOf("/204"));
    EXPECT_FALSE(client.Receive().headers.contains("content-length"));
    client.Send(GetOf("/304"));
    EXPECT_EQ(304, client.Receive().status);
    client.Send("HEAD /pieces HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_FALSE(client.Receive("HEAD").headers.contains("transfer-encoding"));
    client.Send(GetOf("/last"));
    EXPECT_EQ("hello /last", client.Receive().body);
  });
}

TEST_F(ConnectionTest, ResponsesInPieces) {
  handler.routes["/chunked"] = [](Exchange& exchange) {
    exchange.Begin(201, "Made", {}, std::nullopt);
    exchange.Write("one");
    exchange.Write("");
    exchange.Write(std::string(20, '2'));
    exchange.Finish();
  };
  handler.routes["/sized"] = [](Exchange& exchange) {
    exchange.Begin(200, "", {}, 6);
    exchange.Write("one");
    exchange.Write("two");
    EXPECT_EQ(BodyFit::kExact, exchange.Finish());
  };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/chunked") + GetOf("/sized"));
    ReceivedResponse chunked = client.Receive();
    EXPECT_THAT(chunked.head, testing::StartsWith("HTTP/1.1 201 Made\r\n"));
    EXPECT_EQ("one" + std::string(20, '2'), chunked.body);
    EXPECT_EQ("onetwo", client.Receive().body);
    client.Send("GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ReceivedResponse until_close = client.Receive();
    EXPECT_EQ("close", until_close.headers["connection"]);
    EXPECT_EQ("one" + std::string(20, '2'), until_close.body);
    EXPECT_TRUE(until_close.whole);
  });
}

TEST_F(ConnectionTest, FramingIsTheServersOwn) {
  handler.routes["/"] = [](Exchange& exchange) {
    exchange.Respond(200,
                     {{.name = "content-length", .value = "999"},
                      {.name = "Transfer-Encoding", .value = "chunked"},
                      {.name = "Connection", .value = "close"},
                      {.name = "DATE", .value = "never"},
                      {.name = "X-Request-ID", .value = "theirs"}},
                     "ok");
  };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/") + GetOf("/next"));
    ReceivedResponse response = client.Receive();
    EXPECT_EQ("2", response.headers["content-length"]);
    EXPECT_NE("never", response.headers["date"]);
    EXPECT_NE("theirs", response.headers["x-request-id"]);
    EXPECT_EQ("hello /next", client.Receive().body);
  });
}

TEST_F(ConnectionTest, ABodyThatIsTooLongIsCut) {
  handler.routes["/"] = [](Exchange& exchange) {
    exchange.Begin(200, "", {}, 5);
    exchange.Write("123");
    exchange.Write("456");
    exchange.Write("789");
    EXPECT_EQ(BodyFit::kTooLong, exchange.Finish());
  };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/") + GetOf("/next"));
    EXPECT_EQ("12345", client.Receive().body);
    EXPECT_EQ("hello /next", client.Receive().body);
  });
}

TEST_F(ConnectionTest, ABodyThatIsTooShortClosesTheConnection) {
  handler.routes["/"] = [](Exchange& exchange) {
    exchange.Begin(200, "", {}, 5);
    exchange.Write("123");
    EXPECT_EQ(BodyFit::kTooShort, exchange.Finish());
  };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/") + GetOf("/next"));
    ReceivedResponse response = client.Receive();
    EXPECT_EQ("123", response.body);
    EXPECT_FALSE(response.whole);
  });
  EXPECT_THAT(handler.seen, SizeIs(1));
}

TEST_F(ConnectionTest, AnAbortIsNoticed) {
  handler.routes["/chunked"] = [](Exchange& exchange) {
    exchange.Begin(200, "", {}, std::nullopt);
    exchange.Write("123");
    exchange.Abort();
  };
  handler.routes["/at-once"] = [](Exchange& exchange) { exchange.Abort(); };
  Run([&] {
    TestClient chunked = Connect();
    chunked.Send(GetOf("/chunked"));
    ReceivedResponse response = chunked.Receive();
    EXPECT_EQ("123", response.body);
    EXPECT_FALSE(response.whole);
    TestClient at_once = Connect();
    at_once.Send(GetOf("/at-once"));
    EXPECT_EQ(0, at_once.Receive().status);
    EXPECT_TRUE(at_once.AtEnd());
  });
}

TEST_F(ConnectionTest, RefusalsAreProblemsAndClose) {
  Run([&] {
    TestClient client = Connect();
    client.Send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + GetOf("/smuggled"));
    ReceivedResponse response = client.Receive();
    EXPECT_EQ(400, response.status);
    EXPECT_EQ("application/problem+json", response.headers["content-type"]);
    EXPECT_EQ("close", response.headers["connection"]);
    EXPECT_THAT(response.body, HasSubstr(R"("code":"repeated_host")"));
    EXPECT_THAT(response.body, HasSubstr(response.headers["x-request-id"]));
    EXPECT_TRUE(client.AtEnd());
    EXPECT_FALSE(client.reset());
  });
  EXPECT_THAT(handler.seen, SizeIs(0));
  EXPECT_EQ(1u, Server().counters().refused);
  ASSERT_THAT(access_log.lines, SizeIs(1));
  EXPECT_THAT(access_log.lines[0], HasSubstr(" status=400 "));
}

TEST_F(ConnectionTest, ARefusalComesAfterTheAnswersBeforeIt) {
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/hold") + "rubbish\n");
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    OnLoop([&] { handler.held.front()->Respond(200, {}, "first"); });
    EXPECT_EQ("first", client.Receive().body);
    EXPECT_EQ(400, client.Receive().status);
    EXPECT_TRUE(client.AtEnd());
  });
}

TEST_F(ConnectionTest, AClientThatSendsOnAfterARefusalStillReadsIt) {
  Run([&] {
    TestClient client = Connect();
    client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n");
    // All of it before it looks at the answer, as many clients do.
    EXPECT_TRUE(client.Send(std::string(20 << 20, 'x')));
    ReceivedResponse response = client.Receive();
    EXPECT_EQ(413, response.status);
    EXPECT_TRUE(response.whole);
    client.ShutdownWrite();
    EXPECT_TRUE(client.AtEnd());
    EXPECT_FALSE(client.reset());
  });
}

TEST_F(ConnectionTest, AHalfClosedClientGetsItsAnswers) {
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/1") + GetOf("/2"));
    client.ShutdownWrite();
    EXPECT_EQ("hello /1", client.Receive().body);
    EXPECT_EQ("hello /2", client.Receive().body);
    EXPECT_TRUE(client.AtEnd());
    TestClient held = Connect();
    held.Send(GetOf("/hold"));
    held.ShutdownWrite();
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    OnLoop([&] { handler.held.front()->Respond(200, {}, "late"); });
    ReceivedResponse response = held.Receive();
    EXPECT_EQ("late", response.body);
    EXPECT_TRUE(held.AtEnd());
    EXPECT_TRUE(Eventually([&] { return Server().connections() == 0; }));
  });
}

TEST_F(ConnectionTest, AnUnfinishedRequestDoesNotTakeTheAnswerBeforeItAway) {
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/hold") + "GET /unfinished HT");
    client.ShutdownWrite();
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    OnLoop([&] { handler.held.front()->Respond(200, {}, std::string(60000, 'x')); });
    EXPECT_EQ(60000u, client.Receive().body.size());
    EXPECT_TRUE(client.AtEnd());
  });
}

TEST_F(ConnectionTest, AnUnfinishedRequestEndsWithItsClient) {
  Run([&] {
    for (const char* const part :
         {"GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"}) {
      TestClient client = Connect();
      client.Send(part);
      client.ShutdownWrite();
      EXPECT_TRUE(client.AtEnd());
    }
    EXPECT_TRUE(Eventually([&] { return Server().connections() == 0; }));
  });
  EXPECT_THAT(handler.seen, SizeIs(0));
}

TEST_F(ConnectionTest, TheListenerHearsOfAClientThatLeft) {
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/hold"));
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    client.Close();
    // A closed unix peer shows as the end of its bytes; the answer then finds nobody.
    OnLoop([&] { handler.held.front()->Begin(200, "", {}, std::nullopt); });
    EXPECT_TRUE(Eventually([&] { return handler.clients_gone == 1; }));
    EXPECT_TRUE(Eventually([&] { return Server().connections() == 0; }));
  });
}

TEST_F(ConnectionTest, AnExchangeWithoutAListenerLivesUntilItIsAnswered) {
  Exchange* held = nullptr;
  handler.routes["/quiet"] = [&](Exchange& exchange) {
    held = &exchange;
    exchange.Begin(200, "", {}, std::nullopt);
    exchange.Write(std::string(100, 'x'));
  };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/quiet"));
    ASSERT_TRUE(Eventually([&] { return held != nullptr; }));
    client.Close();
    OnLoop([&] { held->Write("y"); });
    OnLoop([&] { held->Write("z"); });
    OnLoop([&] {
      EXPECT_EQ(1u, Server().connections());
      EXPECT_EQ("/quiet", held->request().target);
      held->Finish();
    });
    EXPECT_TRUE(Eventually([&] { return Server().connections() == 0; }));
  });
}

TEST_F(ConnectionTest, AccessLinesTellTheWholeStory) {
  handler.routes["/app"] = [](Exchange& exchange) {
    exchange.notes().app = "demo/hello";
    exchange.notes().release = "1.2.0";
    exchange.notes().queued = Micros(7);
    exchange.notes().service = Micros(11);
    exchange.Respond(200, {}, "12345");
  };
  std::string id;
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/app?a=%20\"", "X-Request-Id: mine and\r\n"));
    id = client.Receive().headers["x-request-id"];
  });
  ASSERT_THAT(access_log.lines, SizeIs(1));
  EXPECT_THAT(
      access_log.lines[0],
      testing::MatchesRegex("2.*Z access app=demo/hello release=1.2.0 method=GET "
                            "target=\"/app.a=%20.\"\" status=200 bytes=5 queue_us=7 worker_us=11 "
                            "total_us=[0-9]+ id=" +
                            id + " client_id=\"mine and\" remote=-\n"));
}

TEST_F(ConnectionTest, PeerCredentialsOfAUnixSocket) {
  handler.routes["/"] = [](Exchange& exchange) {
    EXPECT_EQ(::getuid(), exchange.request().peer_uid);
    EXPECT_EQ(::getgid(), exchange.request().peer_gid);
    EXPECT_EQ("", exchange.request().remote_addr);
    exchange.Respond(200, {}, "");
  };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/"));
    EXPECT_EQ(200, client.Receive().status);
  });
}

}  // namespace
}  // namespace cloister
