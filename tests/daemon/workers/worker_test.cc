#include "daemon/workers/worker.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "apis/wire/inbox_gone.h"
#include "tests/daemon/workers/worker_fixture.h"

namespace cloister {
namespace {

using Got = ScriptedWorker::Got;

TEST(WorkerTest, BootsAndAnswersOverItsChannel) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  EXPECT_EQ(bench.worker.state(), WorkerState::kIdle);
  EXPECT_EQ(script.orders.app, "demo/hello");
  EXPECT_EQ(script.orders.entry, "hello:application");
  script.on_request = [](ScriptedWorker& self, const Got& got) { self.Answer(got, "Hello"); };

  WorkerRequest request;
  FakeExchange exchange("/greet?x=1");
  exchange.request().headers = {{.name = "accept", .value = "*/*"}};
  bench.Send(request, exchange);
  EXPECT_EQ(bench.worker.state(), WorkerState::kBusy);
  ASSERT_TRUE(bench.Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.body, "Hello");
  EXPECT_TRUE(exchange.whole);
  EXPECT_EQ(exchange.ResponseHeader("Content-Type"), "text/plain");
  EXPECT_EQ(bench.host.done, std::vector{&request});
  EXPECT_EQ(bench.worker.state(), WorkerState::kIdle);

  ASSERT_EQ(script.requests.size(), 1U);
  const Got& got = script.requests.front();
  EXPECT_EQ(got.method, "GET");
  EXPECT_EQ(got.target, "/greet?x=1");
  EXPECT_EQ(got.server_port, "80");
  EXPECT_EQ(got.request_id, "01HF8Y0000000000000000000A");
  ASSERT_EQ(got.headers.size(), 1U);
  EXPECT_EQ(got.headers.front().first, "accept");
  EXPECT_EQ(got.content_length, 0U);
  // The headers were only lent for the encoding.
  EXPECT_EQ(exchange.request().headers.size(), 1U);
}

TEST(WorkerTest, SmallBodyTravelsInline) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  script.on_request = [](ScriptedWorker& self, const Got& got) { self.Answer(got, got.body); };
  const std::string body(kInlineBodyMax, 'b');
  WorkerRequest request;
  FakeExchange exchange;
  exchange.request().body.bytes = body;
  exchange.request().body.size = body.size();
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.body, body);
}

TEST(WorkerTest, LargeBodyTravelsInFramesWithCredit) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  const std::string body(3 * kRequestWindow + 17, 'b');
  WorkerRequest request;
  FakeExchange exchange;
  exchange.request().body.bytes = body;
  exchange.request().body.size = body.size();
  bench.Send(request, exchange);
  EXPECT_EQ(bench.worker.room(), 0U) << "a large body travels alone";
  ASSERT_TRUE(bench.Until([&] {
    return !script.requests.empty() && script.requests.front().body.size() == kRequestWindow;
  }));
  // Without credit nothing more comes.
  RunFor(bench.ground.loop, Millis(5));
  EXPECT_EQ(script.requests.front().body.size(), kRequestWindow);
  ASSERT_TRUE(script.Claim(script.requests.front()));
  std::size_t read = 0;
  while (!script.requests.front().body_ended) {
    const std::size_t have = script.requests.front().body.size();
    script.SendU32(FrameType::kBodyCredit, script.requests.front().id,
                   static_cast<std::uint32_t>(have - read));
    read = have;
    ASSERT_TRUE(bench.Until([&] { return script.requests.front().body.size() > have; }));
  }
  EXPECT_EQ(script.requests.front().body, body);
  script.SendHead(script.requests.front().id, {.status = 204, .reason = "", .headers = {}}, {},
                  kFrameEnd);
  ASSERT_TRUE(bench.Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.status, 204);
}

TEST(WorkerTest, SpooledBodyComesFromItsFile) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  script.on_request = nullptr;
  std::string body;
  for (int i = 0; i < 20000; ++i)
    body += std::to_string(i);
  WorkerRequest request;
  FakeExchange exchange;
  HttpBody& spooled = exchange.request().body;
  spooled.file = Inbox::Create().value().TakeFd();
  ASSERT_EQ(::pwrite(spooled.file.get(), body.data(), kInboxPageSize, 0),
            static_cast<ssize_t>(kInboxPageSize));
  spooled.size = kInboxPageSize;
  bench.Send(request, exchange);
  ASSERT_TRUE(
      bench.Until([&] { return !script.requests.empty() && script.requests.front().body_ended; }));
  EXPECT_EQ(script.requests.front().body, body.substr(0, kInboxPageSize));
}

TEST(WorkerTest, SpooledBodyThatIsTooShortEndsTheWorker) {
  WorkerBench bench;
  bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  exchange.request().body.file = Inbox::Create().value().TakeFd();
  exchange.request().body.size = 2 * kInboxPageSize;
  bench.Send(request, exchange);
  EXPECT_EQ(exchange.status, 500);
  EXPECT_EQ(bench.worker.state(), WorkerState::kDead);
}

TEST(WorkerTest, TakesOneRequestUntilItIsKnownToBeFast) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  EXPECT_EQ(bench.worker.room(), 1U);
  bench.BecomeFast(script);
  EXPECT_EQ(bench.worker.room(), kInboxSlots);
}

TEST(WorkerTest, EightRequestsAreAnsweredInAnyOrderOfTheirExchanges) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  bench.BecomeFast(script);
  std::vector<WorkerRequest> requests(kInboxSlots);
  std::vector<std::unique_ptr<FakeExchange>> exchanges;
  for (std::size_t i = 0; i < kInboxSlots; ++i) {
    exchanges.push_back(std::make_unique<FakeExchange>("/" + std::to_string(i)));
    bench.Send(requests[i], *exchanges[i]);
  }
  EXPECT_EQ(bench.worker.room(), 0U);
  script.on_request = [](ScriptedWorker& self, const Got& got) { self.Answer(got, got.target); };
  ASSERT_TRUE(bench.Until([&] { return bench.worker.in_flight() == 0; }));
  for (std::size_t i = 0; i < kInboxSlots; ++i)
    EXPECT_EQ(exchanges[i]->body, "/" + std::to_string(i));
}

TEST(WorkerTest, WithdrawsWhatWaitsBehindASlowRequest) {
  WorkerBench bench(WorkerOptions{});
  ScriptedWorker& script = bench.Boot();
  bench.BecomeFast(script);
  WorkerRequest requests[3];
  FakeExchange slow;
  FakeExchange second;
  FakeExchange third;
  bench.Send(requests[0], slow);
  bench.Send(requests[1], second);
  bench.Send(requests[2], third);
  ASSERT_TRUE(bench.Until([&] { return script.requests.size() == 3; }));
  ASSERT_TRUE(script.Claim(script.requests[0]));
  ASSERT_TRUE(bench.Until([&] { return bench.host.returned.size() == 2; }));
  // Newest first, so that the oldest is in front of the queue in the end.
  EXPECT_EQ(bench.host.returned, (std::vector{&requests[2], &requests[1]}));
  EXPECT_FALSE(script.Claim(script.requests[1]));
  EXPECT_EQ(bench.worker.room(), 0U) << "it is slow: one at a time";
  script.SendHead(script.requests[0].id, {.status = 200, .reason = "OK", .headers = {}}, "x",
                  kFrameEnd);
  ASSERT_TRUE(bench.Until([&] { return slow.done(); }));
  EXPECT_EQ(bench.worker.room(), 1U);
}

TEST(WorkerTest, KeepsTheOldestWhileNothingIsClaimed) {
  WorkerBench bench(WorkerOptions{});
  ScriptedWorker& script = bench.Boot();
  bench.BecomeFast(script);
  WorkerRequest requests[2];
  FakeExchange exchanges[2];
  bench.Send(requests[0], exchanges[0]);
  bench.Send(requests[1], exchanges[1]);
  ASSERT_TRUE(bench.Until([&] { return !bench.host.returned.empty(); }));
  EXPECT_EQ(bench.host.returned, std::vector{&requests[1]});
  EXPECT_EQ(bench.worker.room(), 0U) << "nothing more until it shows that it runs";
  script.Answer(script.requests[0]);
  ASSERT_TRUE(bench.Until([&] { return exchanges[0].done(); }));
  EXPECT_GT(bench.worker.room(), 0U);
}

TEST(WorkerTest, WorkerThatClaimsNothingIsReplaced) {
  WorkerBench bench({.stall_after = Millis(20), .shutdown_grace = Millis(20)});
  bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.host.returned, std::vector{&request});
  EXPECT_FALSE(bench.host.dead_by_crash);
  EXPECT_EQ(exchange.responses, 0);
}

TEST(WorkerTest, DeathCostsOnlyTheClaimedRequest) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  bench.BecomeFast(script);
  WorkerRequest requests[3];
  FakeExchange answered;
  FakeExchange claimed;
  FakeExchange waiting;
  bench.Send(requests[0], answered);
  bench.Send(requests[1], claimed);
  bench.Send(requests[2], waiting);
  script.on_request = [&](ScriptedWorker& self, const Got& got) {
    if (self.requests.size() == 1)
      self.Answer(got);
    if (self.requests.size() == 2) {
      self.Claim(got);
      bench.ground.processes.Exit(WorkerId{self.orders.worker_id}, SIGSEGV);
    }
  };
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(answered.status, 200);
  EXPECT_EQ(claimed.status, 502);
  EXPECT_NE(claimed.body.find("worker_died"), std::string::npos);
  EXPECT_EQ(waiting.responses, 0);
  EXPECT_EQ(bench.host.returned_by_death, std::vector{&requests[2]});
  EXPECT_TRUE(bench.host.dead_by_crash);
  EXPECT_EQ(bench.ground.logs.Count("crashed (signal 11)"), 1U);
  EXPECT_EQ(bench.ground.logs.events.back().request_id, requests[1].request_id);
}

TEST(WorkerTest, DeathInTheMiddleOfAResponseAbortsTheConnection) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  bench.Send(request, exchange);
  script.on_request = [&](ScriptedWorker& self, const Got& got) {
    self.Claim(got);
    self.SendHead(got.id, {.status = 200, .reason = "OK", .headers = {}}, "beginning", 0);
  };
  ASSERT_TRUE(bench.Until([&] { return exchange.responses == 1; }));
  bench.ground.processes.ExitCode(WorkerId{script.orders.worker_id}, 3);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_TRUE(exchange.aborted);
  EXPECT_EQ(bench.ground.logs.Count("exit code 3"), 1U);
}

TEST(WorkerTest, RetiredWhileIdleItIsToldToEnd) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  bench.worker.Retire();
  EXPECT_EQ(bench.worker.state(), WorkerState::kDraining);
  ASSERT_TRUE(bench.Until([&] { return script.shutdown; }));
  bench.ground.processes.ExitCode(WorkerId{script.orders.worker_id}, 0);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_FALSE(bench.host.dead_by_crash);
  EXPECT_TRUE(bench.ground.logs.events.empty()) << "an end that was wanted is no news";
}

TEST(WorkerTest, RetiredWhileBusyItFinishesWhatItClaimed) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  bench.BecomeFast(script);
  WorkerRequest requests[2];
  FakeExchange claimed;
  FakeExchange waiting;
  bench.Send(requests[0], claimed);
  bench.Send(requests[1], waiting);
  ASSERT_TRUE(bench.Until([&] { return script.requests.size() == 2; }));
  ASSERT_TRUE(script.Claim(script.requests[0]));
  bench.worker.Retire();
  EXPECT_EQ(bench.host.returned, std::vector{&requests[1]});
  EXPECT_FALSE(script.shutdown);
  script.SendHead(script.requests[0].id, {.status = 200, .reason = "OK", .headers = {}}, "x",
                  kFrameEnd);
  ASSERT_TRUE(bench.Until([&] { return script.shutdown; }));
  EXPECT_EQ(claimed.status, 200);
}

TEST(WorkerTest, OneThatIgnoresShutdownIsKilled) {
  WorkerBench bench({.shutdown_grace = Millis(10)});
  bench.Boot();
  bench.worker.Retire();
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.ground.processes.killed.size(), 1U);
}

TEST(WorkerTest, ClosedChannelWithALivingProcessIsKilled) {
  WorkerBench bench({.exit_wait = Millis(10)});
  ScriptedWorker& script = bench.Boot();
  script.Close();
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.ground.processes.killed.size(), 1U);
  EXPECT_TRUE(bench.host.dead_by_crash);
}

// --- Clients

TEST(WorkerTest, UnclaimedRequestOfAGoneClientIsWithdrawn) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  bench.Send(request, exchange);
  exchange.GoAway();
  EXPECT_EQ(bench.host.done, std::vector{&request});
  EXPECT_EQ(bench.worker.state(), WorkerState::kIdle);
  ASSERT_TRUE(bench.Until([&] { return script.requests.size() == 1; }));
  EXPECT_FALSE(script.Claim(script.requests[0]));
}

TEST(WorkerTest, ClaimedRequestOfAGoneClientRunsToItsEnd) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return script.requests.size() == 1; }));
  ASSERT_TRUE(script.Claim(script.requests[0]));
  const std::uint32_t id = script.requests[0].id;
  script.SendHead(id, {.status = 200, .reason = "OK", .headers = {}}, "x", 0);
  ASSERT_TRUE(bench.Until([&] { return exchange.responses == 1; }));
  exchange.GoAway();
  EXPECT_TRUE(GoneOf(*script.page).IsMarked(RequestSlots::SlotOf(id), id));
  // It gets credit as if somebody read, or it would wait for ever.
  const std::string piece(kFramePayloadMax, 'p');
  for (std::size_t sent = 0; sent < 4; ++sent)
    script.SendBody(id, piece, 0);
  ASSERT_TRUE(bench.Until([&] { return script.credit >= 3 * kFramePayloadMax; }));
  script.SendBody(id, {}, kFrameEnd);
  ASSERT_TRUE(bench.Until([&] { return bench.host.done.size() == 1; }));
  EXPECT_EQ(exchange.body, "x");
  EXPECT_EQ(bench.worker.state(), WorkerState::kIdle);
}

TEST(WorkerTest, GoneClientEndsTheRequestBody) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  const std::string body(2 * kRequestWindow, 'b');
  WorkerRequest request;
  FakeExchange exchange;
  exchange.request().body.bytes = body;
  exchange.request().body.size = body.size();
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return script.requests.size() == 1; }));
  ASSERT_TRUE(script.Claim(script.requests[0]));
  exchange.GoAway();
  ASSERT_TRUE(bench.Until([&] { return script.requests[0].body_ended; }));
  EXPECT_LT(script.requests[0].body.size(), body.size());
}

TEST(WorkerTest, SlowClientHoldsTheCreditBack) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  exchange.full = true;
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return script.requests.size() == 1; }));
  ASSERT_TRUE(script.Claim(script.requests[0]));
  const std::uint32_t id = script.requests[0].id;
  script.SendHead(id, {.status = 200, .reason = "OK", .headers = {}}, {}, 0);
  const std::string piece(kFramePayloadMax, 'p');
  for (std::size_t sent = 0; sent < kResponseWindow; sent += piece.size())
    script.SendBody(id, piece, 0);
  ASSERT_TRUE(bench.Until([&] { return exchange.body.size() == kResponseWindow; }));
  EXPECT_EQ(script.credit, 0U);
  exchange.BecomeWritable();
  ASSERT_TRUE(bench.Until([&] { return script.credit == kResponseWindow; }));
}

TEST(WorkerTest, HeadThatIsTooLargeIsRefused) {
  WorkerBench bench;
  bench.Boot();
  const std::string value(kHeadMax, 'v');
  WorkerRequest request;
  FakeExchange exchange;
  exchange.request().headers = {{.name = "cookie", .value = value}};
  bench.Send(request, exchange);
  EXPECT_EQ(exchange.status, 431);
  EXPECT_EQ(bench.host.done, std::vector{&request});
  EXPECT_EQ(bench.worker.state(), WorkerState::kIdle);
}

// --- Time

TEST(WorkerTest, WallTimeInterruptsThenTheWorkerIsReplaced) {
  ReleaseSpec spec = SomeRelease();
  spec.limits.wall_max = Millis(20);
  WorkerBench bench({.interrupt_grace = Millis(5000)}, spec);
  ScriptedWorker& script = bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  script.on_request = [](ScriptedWorker& self, const Got& got) { self.Claim(got); };
  bench.ground.processes.on_interrupt = [](ScriptedWorker& self) {
    // What an honest worker does: the app's exception, then the answer that nobody reads.
    self.SendLog(self.requests[0].id, "WallTimeExceeded");
    self.SendHead(self.requests[0].id, {.status = 500, .reason = "", .headers = {}}, "late",
                  kFrameEnd);
  };
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return script.shutdown; }));
  EXPECT_EQ(exchange.status, 504);
  EXPECT_NE(exchange.body.find("wall_time_exceeded"), std::string::npos);
  EXPECT_EQ(bench.ground.processes.interrupted.size(), 1U);
  EXPECT_TRUE(bench.ground.processes.killed.empty());
  EXPECT_EQ(bench.ground.logs.Count("took longer than 20 ms"), 1U);
  EXPECT_EQ(bench.ground.logs.Count("WallTimeExceeded"), 2U);
}

TEST(WorkerTest, ARequestOfTheNodeMayHaveLessTime) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  script.on_request = [](ScriptedWorker& self, const Got& got) { self.Claim(got); };
  WorkerRequest request;
  FakeExchange exchange;
  exchange.request().node_terms = NodeTerms{.wall_max = Millis(20)};
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.status, 504);
  EXPECT_EQ(exchange.notes().problem, "wall_time_exceeded");
  EXPECT_EQ(script.requests[0].wall_ms, 20U);
  EXPECT_EQ(bench.ground.logs.Count("took longer than 20 ms"), 1U);
}

TEST(WorkerTest, ARequestOfTheNodeMayTakeLongerThanThoseOfClients) {
  ReleaseSpec spec = SomeRelease();
  spec.limits.wall_max = Millis(20);
  WorkerBench bench(Patient(), spec);
  ScriptedWorker& script = bench.Boot();
  script.on_request = [](ScriptedWorker& self, const Got& got) { self.Answer(got, "done"); };
  WorkerRequest request;
  FakeExchange exchange;
  exchange.request().node_terms = NodeTerms{.wall_max = Seconds(100)};
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(script.requests[0].wall_ms, 100000U);
}

TEST(WorkerTest, OneThatDoesNotStopIsKilled) {
  ReleaseSpec spec = SomeRelease();
  spec.limits.wall_max = Millis(20);
  WorkerBench bench({.interrupt_grace = Millis(10)}, spec);
  ScriptedWorker& script = bench.Boot();
  script.on_request = [](ScriptedWorker& self, const Got& got) { self.Claim(got); };
  WorkerRequest request;
  FakeExchange exchange;
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(exchange.status, 504);
  EXPECT_EQ(bench.ground.processes.killed.size(), 1U);
  EXPECT_EQ(bench.ground.logs.Count("did not stop"), 1U);
  EXPECT_FALSE(bench.host.dead_by_crash) << "a slow request is no reason to back off";
}

// --- Boot

TEST(WorkerTest, BootReportReachesTheHost) {
  WorkerBench bench;
  bench.ground.processes.on_start = [](ScriptedWorker& script) {
    script.FailBoot({.code = "import_error",
                     .message = "No module named 'flask'",
                     .file = "app.py",
                     .line = 3,
                     .traceback = "Traceback"});
  };
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  ASSERT_EQ(bench.host.boot_failures.size(), 1U);
  const BootFailure& failure = bench.host.boot_failures.front();
  EXPECT_EQ(failure.code, "import_error");
  EXPECT_EQ(failure.message, "No module named 'flask'");
  EXPECT_EQ(failure.file, "app.py");
  EXPECT_EQ(failure.line, 3U);
  EXPECT_EQ(failure.traceback, "Traceback");
  EXPECT_FALSE(bench.host.dead) << "it never served";
}

TEST(WorkerTest, ReportWithACodeThatIsNoneGetsAGeneralOne) {
  WorkerBench bench;
  bench.ground.processes.on_start = [](ScriptedWorker& script) {
    script.FailBoot({.code = "<script>", .message = "m", .file = "", .line = 0, .traceback = ""});
  };
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.host.boot_failures.front().code, "boot_failed");
}

TEST(WorkerTest, ImportThatNeverEndsIsKilled) {
  WorkerBench bench({.boot_timeout = Millis(20)});
  bench.ground.processes.on_start = [](ScriptedWorker&) {};
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.host.boot_failures.front().code, "boot_timeout");
  EXPECT_EQ(bench.ground.processes.killed.size(), 1U);
}

TEST(WorkerTest, ImportThatNeverEndsSaysWhereItIs) {
  WorkerBench bench({.boot_timeout = Millis(20), .interrupt_grace = Seconds(10)});
  ScriptedWorker* script = nullptr;
  bench.ground.processes.on_start = [&](ScriptedWorker& started) { script = &started; };
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return !bench.ground.processes.interrupted.empty(); }));
  script->FailBoot({.code = "app_raised",
                    .message = "another word",
                    .file = "main.py",
                    .line = 3,
                    .traceback = "where"});
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  const BootFailure& failure = bench.host.boot_failures.front();
  EXPECT_EQ(failure.code, "boot_timeout");
  EXPECT_NE(failure.message.find("within 20 ms"), std::string::npos);
  EXPECT_EQ(failure.line, 3U);
  EXPECT_EQ(failure.traceback, "where");
}

TEST(WorkerTest, ExitWhileImportingIsExplained) {
  WorkerBench bench;
  bench.ground.processes.on_start = [&](ScriptedWorker& script) {
    bench.ground.processes.ExitCode(WorkerId{script.orders.worker_id}, 0);
  };
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.host.boot_failures.front().code, "worker_died");
  EXPECT_NE(bench.host.boot_failures.front().message.find("exit code 0"), std::string::npos);
}

TEST(WorkerTest, KilledWhileImportingIsOutOfMemory) {
  WorkerBench bench;
  bench.ground.processes.on_start = [&](ScriptedWorker& script) {
    bench.ground.processes.Exit(WorkerId{script.orders.worker_id}, SIGKILL);
  };
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.host.boot_failures.front().code, "memory_exceeded");
}

TEST(WorkerTest, RefusedHandOverIsTheSandboxesFault) {
  WorkerBench bench;
  bench.ground.processes.refuses = "no seccomp";
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.host.boot_failures.front().code, "sandbox_failed");
  EXPECT_NE(bench.host.boot_failures.front().message.find("confine: no seccomp"),
            std::string::npos);
}

TEST(WorkerTest, RetiredWhileStartingItEndsAtOnce) {
  WorkerBench bench;
  bench.ground.processes.on_start = [](ScriptedWorker&) {};
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return !bench.ground.processes.workers.empty(); }));
  bench.worker.Retire();
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.host.boot_failures.front().code, "cancelled");
}

TEST(WorkerTest, RetiredBeforeItHasAProcessItIsOver) {
  WorkerBench bench;
  bench.ground.processes.places = false;
  bench.worker.Start(SomeImage());
  bench.worker.Retire();
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_TRUE(bench.ground.processes.workers.empty());
}

TEST(WorkerTest, WhatItStillHasWhenDestroyedIsAnswered) {
  WorkerRequest request;
  FakeExchange exchange;
  {
    WorkerBench bench;
    bench.Boot();
    bench.Send(request, exchange);
  }
  EXPECT_EQ(exchange.status, 503);
}

}  // namespace
}  // namespace cloister
