// Bodies of requests and responses: memory, files, limits, slow peers.

#include <sys/stat.h>

#include "tests/daemon/http/fixture.h"

namespace cloister {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

std::string PostOf(std::string_view target, std::string_view body, std::string_view headers = "") {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

std::string ChunkedPostOf(std::string_view target, std::string_view body, std::size_t chunk) {
  std::string request =
      "POST " + std::string(target) + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < body.size(); at += chunk) {
    const std::string_view part = body.substr(at, chunk);
    AppendChunkSize(request, part.size());
    request += part;
    request += "\r\n";
  }
  return request + "0\r\n\r\n";
}

// Bytes in which a lost or repeated piece shows.
std::string Pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  return bytes;
}

class BodyTest : public HttpServerTest {
 protected:
  BodyTest() {
    handler.routes["/echo"] = [this](Exchange& exchange) { Echo(exchange); };
  }

  void Echo(Exchange& exchange) {
    const HttpBody& body = exchange.request().body;
    std::string bytes(body.bytes);
    if (body.file.valid()) {
      struct stat status = {};
      EXPECT_EQ(0, ::fstat(body.file.get(), &status));
      EXPECT_EQ(0u, status.st_nlink);  // without a name
      EXPECT_EQ(body.size, static_cast<std::uint64_t>(status.st_size));
      bytes.resize(body.size);
      EXPECT_EQ(static_cast<ssize_t>(body.size),
                ::pread(body.file.get(), bytes.data(), bytes.size(), 0));
    }
    EXPECT_EQ(body.size, bytes.size());
    exchange.Respond(200, {{.name = "X-Kept-In", .value = body.file.valid() ? "file" : "memory"}},
                     bytes);
  }
};

TEST_F(BodyTest, SmallBodiesStayInMemoryAndLargeOnesGoToAFile) {
  const std::size_t limit = settings.body_memory_max.count;
  Run([&] {
    TestClient client = Connect();
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, limit - 1, limit, limit + 1, std::size_t{3} << 20}) {
      const std::string body = Pattern(size);
      for (const std::string& request :
           {PostOf("/echo", body), ChunkedPostOf("/echo", body, 10000)}) {
        std::thread sender([&] { client.Send(request); });
        ReceivedResponse response = client.Receive();
        sender.join();
        ASSERT_EQ(200, response.status) << size;
        EXPECT_TRUE(response.body == body) << size;
        EXPECT_EQ(size > limit ? "file" : "memory", response.headers["x-kept-in"]) << size;
      }
    }
  });
  EXPECT_EQ(4u, Server().counters().bodies_in_files);
}

TEST_F(BodyTest, TheLargestBodyIsTheHandlersChoice) {
  handler.body_max = Bytes{1000};
  Run([&] {
    for (const bool chunked : {false, true}) {
      for (const std::size_t size : {999u, 1000u, 1001u}) {
        TestClient client = Connect();
        const std::string body = Pattern(size);
        client.Send(chunked ? ChunkedPostOf("/echo", body, 100) : PostOf("/echo", body));
        EXPECT_EQ(size > 1000 ? 413 : 200, client.Receive().status) << size;
      }
    }
  });
}

TEST_F(BodyTest, TheBudgetOfAllFilesIsKept) {
  settings.spool_max = KiB(300);
  Run([&] {
    TestClient holder = Connect();
    handler.routes["/keep"] = [this](Exchange& exchange) { handler.held.push_back(&exchange); };
    holder.Send(PostOf("/keep", Pattern(200 * 1024)));
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    TestClient second = Connect();
    second.Send(PostOf("/echo", Pattern(150 * 1024)));
    ReceivedResponse refused = second.Receive();
    EXPECT_EQ(503, refused.status);
    EXPECT_THAT(refused.body, HasSubstr("spool_full"));
    // The first one's file goes with its answer.
    OnLoop([&] { handler.held.front()->Respond(200, {}, ""); });
    EXPECT_EQ(200, holder.Receive().status);
    TestClient third = Connect();
    third.Send(PostOf("/echo", Pattern(150 * 1024)));
    EXPECT_EQ(200, third.Receive().status);
  });
}

std::string PostTo(std::string_view host, std::string_view target, std::string_view body) {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

TEST_F(BodyTest, OneAccountLeavesTheOthersTheirShare) {
  settings.spool_max = KiB(600);
  settings.spool_account_max = KiB(300);
  handler.accounts = {{"greedy", 1}, {"modest", 2}};
  handler.routes["/keep"] = [this](Exchange& exchange) { handler.held.push_back(&exchange); };
  Run([&] {
    TestClient holder = Connect();
    holder.Send(PostTo("greedy", "/keep", Pattern(200 * 1024)));
    ASSERT_TRUE(Eventually([&] { return handler.held.size() == 1; }));
    TestClient second = Connect();
    second.Send(PostTo("greedy", "/echo", Pattern(150 * 1024)));
    ReceivedResponse refused = second.Receive();
    EXPECT_EQ(503, refused.status);
    EXPECT_THAT(refused.body, HasSubstr("spool_full"));
    TestClient other = Connect();
    other.Send(PostTo("modest", "/echo", Pattern(150 * 1024)));
    EXPECT_EQ(200, other.Receive().status);
    OnLoop([&] { handler.held.front()->Respond(200, {}, ""); });
    EXPECT_EQ(200, holder.Receive().status);
  });
}

// Responses take of the same share: who reads slowly spends it for its own app alone.
TEST_F(BodyTest, ResponsesAreChargedToTheirAccount) {
  settings.spool_max = MiB(8);
  settings.spool_account_max = MiB(2);
  settings.response_memory_max = KiB(64);
  handler.accounts = {{"greedy", 1}, {"modest", 2}};
  const std::string large = Pattern(std::size_t{3} << 20);
  handler.routes["/large"] = [&large](Exchange& exchange) {
    exchange.Begin(200, "", {}, large.size());
    for (std::size_t at = 0; at < large.size(); at += 16384)
      (void)exchange.Write(std::string_view(large).substr(at, 16384));
    (void)exchange.Finish();
  };
  Run([&] {
    // The socket's own buffers are small beside the response.
    TestClient slow = Connect();
    slow.Send("GET /large HTTP/1.1\r\nHost: greedy\r\n\r\n");
    ASSERT_TRUE(Eventually([&] { return Server().counters().spool_failures > 0; }));
    TestClient same = Connect();
    same.Send(PostTo("greedy", "/echo", Pattern(150 * 1024)));
    EXPECT_EQ(503, same.Receive().status);
    TestClient other = Connect();
    other.Send(PostTo("modest", "/echo", Pattern(150 * 1024)));
    EXPECT_EQ(200, other.Receive().status);
    EXPECT_TRUE(slow.Receive().body == large);
    EXPECT_TRUE(Eventually([&] { return Server().spooled() == 0; }));
  });
}

// And of the memory, beyond a first part: whose clients do not read gets files instead.
TEST_F(BodyTest, MemoryOfResponsesIsChargedToTheirAccount) {
  settings.response_memory_max = MiB(8);
  settings.response_memory_account_max = MiB(10);
  handler.accounts = {{"greedy", 1}, {"modest", 2}};
  const std::string large = Pattern(std::size_t{7} << 20);
  handler.routes["/large"] = [&large](Exchange& exchange) { exchange.Respond(200, {}, large); };
  Run([&] {
    const auto in_files = [&] { return Server().counters().responses_in_files; };
    TestClient slow = Connect();
    slow.Send("GET /large HTTP/1.1\r\nHost: greedy\r\n\r\n");
    TestClient other = Connect();
    other.Send("GET /large HTTP/1.1\r\nHost: modest\r\n\r\n");
    ASSERT_TRUE(Eventually([&] { return Server().counters().requests == 2; }));
    EXPECT_EQ(0U, in_files());
    TestClient same = Connect();
    same.Send("GET /large HTTP/1.1\r\nHost: greedy\r\n\r\n");
    ASSERT_TRUE(Eventually([&] { return in_files() == 1; }));
    EXPECT_TRUE(slow.Receive().body == large);
    EXPECT_TRUE(same.Receive().body == large);
    EXPECT_TRUE(other.Receive().body == large);
    // What was read is free again, on a connection that stays.
    same.Send("GET /large HTTP/1.1\r\nHost: greedy\r\n\r\n");
    EXPECT_TRUE(same.Receive().body == large);
    EXPECT_EQ(1U, in_files());
  });
}

TEST_F(BodyTest, ADiskThatRefusesIsA503) {
  settings.spool_dir = "/nowhere";
  Run([&] {
    TestClient client = Connect();
    client.Send(PostOf("/echo", Pattern(150 * 1024)));
    EXPECT_EQ(503, client.Receive().status);
  });
  EXPECT_EQ(1u, Server().counters().spool_failures);
}

TEST_F(BodyTest, ContinueIsSaidWhenTheBodyIsWaitedFor) {
  Run([&] {
    TestClient client = Connect();
    const std::string head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    client.Send(head);
    EXPECT_EQ(100, client.Receive().status);
    client.Send("abc");
    EXPECT_EQ("abc", client.Receive().body);
    // A client that did not wait hears nothing of it.
    client.Send(head + "def");
    EXPECT_EQ("def", client.Receive().body);
  });
}

TEST_F(BodyTest, NoContinueForABodyThatIsTooLarge) {
  handler.body_max = Bytes{2};
  Run([&] {
    TestClient client = Connect();
    client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(413, client.Receive().status);
  });
}

TEST_F(BodyTest, AHeadThatNeverEndsIsA408) {
  settings.head_timeout = Millis(100);
  Run([&] {
    TestClient client = Connect();
    client.Send("GET / HTTP/1.1\r\nHost: a\r\n");
    ReceivedResponse response = client.Receive();
    EXPECT_EQ(408, response.status);
    EXPECT_THAT(response.body, HasSubstr("head_timeout"));
    client.ShutdownWrite();
    EXPECT_TRUE(client.AtEnd());
  });
  EXPECT_EQ(1u, Server().counters().timed_out);
}

TEST_F(BodyTest, TheHeadsTimeIsNotProlongedByBytes) {
  settings.head_timeout = Millis(200);
  Run([&] {
    TestClient client = Connect();
    client.Send("GET / HTTP/1.1\r\n");
    const auto began = std::chrono::steady_clock::now();
    std::thread drip([&] {
      while (client.Send("X: 1\r\n") && std::chrono::steady_clock::now() - began < Seconds(5))
        std::this_thread::sleep_for(Millis(20));
    });
    EXPECT_EQ(408, client.Receive().status);
    EXPECT_LT(std::chrono::steady_clock::now() - began, Seconds(3));
    ::shutdown(client.fd(), SHUT_RDWR);
    drip.join();
  });
}

TEST_F(BodyTest, AnIdleConnectionIsClosedSilently) {
  settings.idle_timeout = Millis(100);
  Run([&] {
    TestClient fresh = Connect();
    EXPECT_TRUE(fresh.AtEnd());
    TestClient used = Connect();
    used.Send(GetOf("/"));
    EXPECT_EQ(200, used.Receive().status);
    EXPECT_TRUE(used.AtEnd());
  });
  EXPECT_THAT(access_log.lines, SizeIs(1));
}

TEST_F(BodyTest, ABodyThatTricklesIsA408) {
  settings.body_window = Millis(100);
  settings.body_rate_min_per_second = KiB(10);
  Run([&] {
    TestClient client = Connect();
    client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc");
    ReceivedResponse response = client.Receive();
    EXPECT_EQ(408, response.status);
    EXPECT_THAT(response.body, HasSubstr("body_timeout"));
  });
}

TEST_F(BodyTest, ABodyThatIsSlowButSteadyIsTaken) {
  settings.body_window = Millis(50);
  settings.body_rate_min_per_second = KiB(1);
  Run([&] {
    TestClient client = Connect();
    client.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
    for (int i = 0; i < 10; ++i) {
      client.Send(std::string(1000, 'x'));
      std::this_thread::sleep_for(Millis(25));
    }
    EXPECT_EQ(200, client.Receive().status);
  });
}

TEST_F(BodyTest, ABodyHasATotalTimeToo) {
  settings.body_window = Millis(20);
  settings.body_timeout = Millis(200);
  settings.body_rate_min_per_second = Bytes{0};
  Run([&] {
    TestClient client = Connect();
    client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc");
    EXPECT_EQ(408, client.Receive().status);
  });
}

TEST_F(BodyTest, OthersAreServedBesideAThousandSlowHeads) {
  Run([&] {
    std::vector<TestClient> slow;
    for (int i = 0; i < 1000; ++i) {
      slow.push_back(Connect());
      slow.back().Send("GET / HTTP/1.1\r\nX-Slow: ");
    }
    TestClient client = Connect();
    for (int i = 0; i < 100; ++i) {
      client.Send(GetOf("/"));
      ASSERT_EQ(200, client.Receive().status);
    }
    EXPECT_TRUE(Eventually([&] { return Server().connections() == 1001; }));
  });
}

TEST_F(BodyTest, ALargeResponseDoesNotHoldItsWriter) {
  const std::string body = Pattern(20 << 20);
  handler.routes["/big"] = [&](Exchange& exchange) {
    exchange.Begin(200, "", {}, body.size());
    for (std::size_t at = 0; at < body.size(); at += 65536)
      EXPECT_TRUE(exchange.Write(std::string_view(body).substr(at, 65536)));
    EXPECT_EQ(BodyFit::kExact, exchange.Finish());
  };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/big") + GetOf("/next"));
    ASSERT_TRUE(Eventually([&] { return Server().counters().responses_in_files == 1; }));
    // It is finished for its handler before the client has read a byte.
    OnLoop([&] { EXPECT_THAT(access_log.lines, SizeIs(1)); });
    ReceivedResponse response = client.Receive();
    EXPECT_TRUE(response.body == body);
    EXPECT_EQ("hello /next", client.Receive().body);
    EXPECT_TRUE(Eventually([&] { return Server().connections() == 1; }));
  });
}

TEST_F(BodyTest, BeyondMemoryAndFileTheWriterWaits) {
  settings.response_memory_max = KiB(256);
  settings.response_file_max = MiB(2);
  const std::string body = Pattern(12 << 20);
  std::size_t at = 0;
  std::size_t waits = 0;
  Exchange* writer = nullptr;
  const auto write_on = [&] {
    bool room = true;
    while (room && at < body.size()) {
      room = writer->Write(std::string_view(body).substr(at, 65536));
      at += 65536;
    }
    waits += room ? 0 : 1;
    if (at >= body.size()) {
      at = 0;
      std::exchange(writer, nullptr)->Finish();
    }
  };
  handler.routes["/endless"] = [&](Exchange& exchange) {
    writer = &exchange;
    exchange.SetListener(&handler);
    exchange.Begin(200, "", {}, std::nullopt);
    write_on();
  };
  handler.on_writable = write_on;
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/endless"));
    ASSERT_TRUE(Eventually([&] { return waits == 1; }));
    // Memory, file, socket buffer, and a piece or two: no more was taken.
    OnLoop([&] { EXPECT_LT(at, std::size_t{4} << 20); });
    ReceivedResponse response = client.Receive();
    EXPECT_TRUE(response.whole);
    EXPECT_TRUE(response.body == body);
    OnLoop([&] {
      EXPECT_GT(handler.writable, 1);
      EXPECT_EQ(nullptr, writer);
    });
  });
}

TEST_F(BodyTest, AWriterThatCanWaitFillsNeitherMemoryNorFiles) {
  const std::string body = Pattern(16 << 20);
  Exchange* writer = nullptr;
  std::string_view rest = body;
  std::size_t at = 0;
  const auto write_on = [&] {
    while (!rest.empty() && writer->WriteNow(rest)) {
    }
    at = body.size() - rest.size();
    if (rest.empty())
      std::exchange(writer, nullptr)->Finish();
  };
  handler.routes["/file"] = [&](Exchange& exchange) {
    writer = &exchange;
    exchange.SetListener(&handler);
    exchange.Begin(200, "", {}, body.size());
    write_on();
  };
  handler.on_writable = write_on;
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/file") + GetOf("/next"));
    std::size_t before = 0;
    // The socket takes what it takes; then the writer waits.
    ASSERT_TRUE(Eventually([&] { return at > 0 && std::exchange(before, at) == at; }));
    OnLoop([&] { EXPECT_LT(at, std::size_t{4} << 20); });
    ReceivedResponse response = client.Receive();
    EXPECT_TRUE(response.whole);
    EXPECT_TRUE(response.body == body);
    EXPECT_EQ("hello /next", client.Receive().body);
    OnLoop([&] { EXPECT_EQ(0U, server->counters().responses_in_files); });
  });
}

TEST_F(BodyTest, WithoutAFileTheWriterWaitsAtOnce) {
  settings.spool_dir = "/nowhere";
  settings.response_memory_max = KiB(256);
  const std::string body = Pattern(4 << 20);
  handler.routes["/big"] = [&](Exchange& exchange) { exchange.Respond(200, {}, body); };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/big") + GetOf("/next"));
    ReceivedResponse response = client.Receive();
    EXPECT_TRUE(response.body == body);
    EXPECT_EQ("hello /next", client.Receive().body);
  });
}

TEST_F(BodyTest, AReaderThatStopsIsAborted) {
  settings.response_window = Millis(100);
  const std::string body = Pattern(8 << 20);
  handler.routes["/big"] = [&](Exchange& exchange) {
    exchange.SetListener(&handler);
    exchange.Begin(200, "", {}, std::nullopt);
    exchange.Write(body);
  };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/big"));
    EXPECT_TRUE(Eventually([&] { return handler.clients_gone == 1; }));
    EXPECT_TRUE(Eventually([&] { return Server().connections() == 0; }));
  });
  EXPECT_EQ(1u, Server().counters().slow_readers);
}

TEST_F(BodyTest, AReaderThatIsSlowButSteadyIsServed) {
  settings.response_window = Millis(100);
  settings.response_rate_min_per_second = KiB(1);
  const std::string body = Pattern(2 << 20);
  handler.routes["/big"] = [&](Exchange& exchange) { exchange.Respond(200, {}, body); };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/big", "Connection: close\r\n"));
    std::string received;
    std::array<char, 64 * 1024> buffer = {};
    ssize_t size = 0;
    while ((size = ::recv(client.fd(), buffer.data(), buffer.size(), 0)) > 0) {
      received.append(buffer.data(), static_cast<std::size_t>(size));
      std::this_thread::sleep_for(Millis(20));
    }
    EXPECT_TRUE(received.ends_with(body));
  });
  EXPECT_EQ(0u, Server().counters().slow_readers);
}

TEST_F(BodyTest, AnUnreadResponseToAClientThatLeftIsForgotten) {
  const std::string body = Pattern(8 << 20);
  handler.routes["/big"] = [&](Exchange& exchange) { exchange.Respond(200, {}, body); };
  Run([&] {
    TestClient client = Connect();
    client.Send(GetOf("/big"));
    ASSERT_TRUE(Eventually([&] { return Server().counters().responses_in_files == 1; }));
    client.Close();
    EXPECT_TRUE(Eventually([&] { return Server().connections() == 0; }));
  });
}

}  // namespace
}  // namespace cloister
