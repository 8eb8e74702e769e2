// What a worker may try on its channel, and that it costs nobody but itself (I3).

#include <gtest/gtest.h>

#include <string>

#include "daemon/workers/worker.h"
#include "tests/daemon/workers/worker_fixture.h"

namespace cloister {
namespace {

using Got = ScriptedWorker::Got;

// A worker that has claimed the first of two requests.
class WorkerHostileTest : public testing::Test {
 protected:
  void SetUp() override {
    script_ = &bench_.Boot();
    bench_.BecomeFast(*script_);
    bench_.Send(claimed_request_, claimed_);
    bench_.Send(waiting_request_, waiting_);
    ASSERT_TRUE(bench_.Until([&] { return script_->requests.size() == 2; }));
    ASSERT_TRUE(script_->Claim(first()));
  }

  const Got& first() const { return script_->requests[0]; }
  const Got& second() const { return script_->requests[1]; }

  // It was ended for what it did: 502 for the claimed request, the other one goes elsewhere.
  void ExpectEnded() {
    ASSERT_TRUE(bench_.Until([&] { return bench_.host.gone; }));
    EXPECT_EQ(bench_.ground.processes.killed.size(), 1U);
    EXPECT_EQ(claimed_.status, 502);
    EXPECT_NE(claimed_.body.find("worker_protocol"), std::string::npos);
    EXPECT_EQ(waiting_.responses, 0);
    EXPECT_EQ(bench_.host.returned_by_death, std::vector{&waiting_request_});
    EXPECT_TRUE(bench_.host.dead_by_crash);
    EXPECT_EQ(bench_.ground.logs.Count("broke the rules of its channel"), 1U);
  }
  void ExpectServes() {
    RunFor(bench_.ground.loop, Millis(3));
    EXPECT_FALSE(bench_.host.dead);
  }

  WorkerBench bench_;
  ScriptedWorker* script_ = nullptr;
  WorkerRequest claimed_request_;
  WorkerRequest waiting_request_;
  FakeExchange claimed_;
  FakeExchange waiting_;
};

TEST_F(WorkerHostileTest, Garbage) {
  script_->SendRaw(std::string(4096, '\xff'));
  ExpectEnded();
}

TEST_F(WorkerHostileTest, FrameOfMoreThanTheMost) {
  std::string header;
  WireWriter writer(header);
  writer.U32(kFramePayloadMax + 1);
  writer.U8(static_cast<std::uint8_t>(FrameType::kLog));
  writer.U8(0);
  writer.U16(0);
  writer.U32(0);
  script_->SendRaw(header);
  ExpectEnded();
}

TEST_F(WorkerHostileTest, FrameOfTheNode) {
  script_->Send({.type = FrameType::kRequest, .flags = 0, .id = 1, .payload = {}});
  ExpectEnded();
}

TEST_F(WorkerHostileTest, HalfAFrameThenDeath) {
  std::string frame;
  AppendFrame(frame, {.type = FrameType::kResponseBody, .flags = 0, .id = 1, .payload = "abc"});
  script_->SendRaw(frame.substr(0, frame.size() - 1));
  bench_.ground.processes.ExitCode(WorkerId{script_->orders.worker_id}, 9);
  ASSERT_TRUE(bench_.Until([&] { return bench_.host.gone; }));
  EXPECT_EQ(claimed_.status, 502);
  EXPECT_NE(claimed_.body.find("worker_died"), std::string::npos);
  EXPECT_EQ(bench_.host.returned_by_death, std::vector{&waiting_request_});
}

TEST_F(WorkerHostileTest, ACallThatDoesNotExist) {
  script_->Send({.type = FrameType::kCall, .flags = 0, .id = 2, .payload = "\xff\xff"});
  ExpectEnded();
}

TEST_F(WorkerHostileTest, AnotherFrameInsideACall) {
  script_->Send({.type = FrameType::kCall, .flags = kFrameMore, .id = 2, .payload = "\x01\x01"});
  script_->SendLog(first().id, "said in between");
  ExpectEnded();
}

TEST_F(WorkerHostileTest, ACallUnderAnIdOfTheNode) {
  script_->Send({.type = FrameType::kCall, .flags = 0, .id = first().id, .payload = "\x0b\x01"});
  ExpectEnded();
}

TEST_F(WorkerHostileTest, AnAnswerToACall) {
  script_->Send({.type = FrameType::kCallReply, .flags = 0, .id = 2, .payload = "\0"});
  ExpectEnded();
}

// What is wrong with the arguments is no matter of the channel, as long as nobody serves them.
TEST_F(WorkerHostileTest, ACallIsAnswered) {
  script_->Send({.type = FrameType::kCall, .flags = 0, .id = 2, .payload = "\x0b\x01"});
  ASSERT_TRUE(bench_.Until([&] { return !script_->replies.empty(); }));
  EXPECT_EQ(script_->replies.front().first, 2U);
  ExpectServes();
}

TEST_F(WorkerHostileTest, AnswerToAForeignId) {
  script_->SendHead(first().id + 16, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  ExpectEnded();
}

TEST_F(WorkerHostileTest, AnswerToIdZero) {
  script_->SendHead(0, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  ExpectEnded();
}

TEST_F(WorkerHostileTest, AnswerWithoutAClaim) {
  script_->SendHead(second().id, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  ExpectEnded();
}

TEST_F(WorkerHostileTest, AnswerInsideAnother) {
  ASSERT_TRUE(script_->Claim(second()));
  script_->SendHead(first().id, {.status = 200, .reason = "", .headers = {}}, "x", 0);
  script_->SendHead(second().id, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  ASSERT_TRUE(bench_.Until([&] { return bench_.host.gone; }));
  EXPECT_TRUE(claimed_.aborted);
  // It had claimed both: it may have executed both.
  EXPECT_EQ(waiting_.status, 502);
}

TEST_F(WorkerHostileTest, SecondHead) {
  script_->SendHead(first().id, {.status = 200, .reason = "", .headers = {}}, "x", 0);
  script_->SendHead(first().id, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  ASSERT_TRUE(bench_.Until([&] { return bench_.host.gone; }));
  EXPECT_TRUE(claimed_.aborted);
}

TEST_F(WorkerHostileTest, BodyBeforeTheHead) {
  script_->SendBody(first().id, "x", kFrameEnd);
  ExpectEnded();
}

TEST_F(WorkerHostileTest, MalformedHead) {
  script_->Send(
      {.type = FrameType::kResponse, .flags = kFrameEnd, .id = first().id, .payload = "\x01"});
  ExpectEnded();
}

TEST_F(WorkerHostileTest, MoreBodyThanItsCredit) {
  claimed_.full = true;
  script_->SendHead(first().id, {.status = 200, .reason = "", .headers = {}}, {}, 0);
  const std::string piece(kFramePayloadMax, 'p');
  for (std::size_t sent = 0; sent < 2 * kResponseWindow; sent += piece.size())
    script_->SendBody(first().id, piece, 0);
  ASSERT_TRUE(bench_.Until([&] { return bench_.host.gone; }));
  EXPECT_TRUE(claimed_.aborted);
  EXPECT_LE(claimed_.body.size(), kResponseWindow + kFramePayloadMax);
}

TEST_F(WorkerHostileTest, CreditForWhatItWasNotSent) {
  script_->SendU32(FrameType::kBodyCredit, first().id, 1);
  ExpectEnded();
}

TEST_F(WorkerHostileTest, LateCreditIsIgnored) {
  script_->SendU32(FrameType::kBodyCredit, first().id + 16, 1);
  ExpectServes();
}

TEST_F(WorkerHostileTest, LateCreditWithoutEnd) {
  for (int i = 0; i < 20; ++i)
    script_->SendU32(FrameType::kBodyCredit, first().id + 16, 1);
  ExpectEnded();
}

TEST_F(WorkerHostileTest, WordsInTheNameOfARefusedCall) {
  std::string payload;
  WireWriter writer(payload);
  writer.Str16("open. Send your password to");
  writer.U32(1);
  script_->Send({.type = FrameType::kRefused, .flags = 0, .id = 0, .payload = payload});
  ExpectEnded();
  EXPECT_EQ(bench_.ground.logs.Count("password"), 0U);
}

TEST_F(WorkerHostileTest, ReadyTwice) {
  script_->Ready();
  ExpectEnded();
}

TEST_F(WorkerHostileTest, ApiCallThatThisVersionHasNot) {
  script_->Send({.type = FrameType::kCall, .flags = 0, .id = 2, .payload = "?"});
  ExpectEnded();
}

TEST_F(WorkerHostileTest, LogEventThatIsInterrupted) {
  script_->SendLog(first().id, "begins", kFrameMore);
  script_->SendHead(first().id, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  ExpectEnded();
}

TEST_F(WorkerHostileTest, MalformedLog) {
  script_->Send({.type = FrameType::kLog, .flags = 0, .id = 0, .payload = "\x09"});
  ExpectEnded();
}

TEST_F(WorkerHostileTest, EndlessLogEventIsCut) {
  const std::string piece(kFramePayloadMax - 16, 'l');
  for (int i = 0; i < 40; ++i) {
    script_->SendLog(first().id, piece, kFrameMore);
    RunFor(bench_.ground.loop, Millis(2));
  }
  script_->SendLog(first().id, "end", 0);
  ASSERT_TRUE(bench_.Until([&] { return !bench_.ground.logs.events.empty(); }));
  const LogEvent& event = bench_.ground.logs.events.front();
  EXPECT_EQ(event.bytes.size(), kLogEventMax);
  EXPECT_TRUE(event.cut);
  EXPECT_EQ(event.request_id, claimed_request_.request_id);
  ExpectServes();
}

TEST_F(WorkerHostileTest, LogsOfOtherRequestsHaveNoRequest) {
  script_->SendLog(first().id + 16, "from a thread that outlived its request");
  ASSERT_TRUE(bench_.Until([&] { return !bench_.ground.logs.events.empty(); }));
  EXPECT_TRUE(bench_.ground.logs.events.front().request_id.empty());
  ExpectServes();
}

TEST_F(WorkerHostileTest, ScribblesAllOverTheInbox) {
  for (auto& word : script_->page->slots)
    word.store(~std::uint64_t{0});
  bench_.ground.processes.ExitCode(WorkerId{script_->orders.worker_id}, 1);
  ASSERT_TRUE(bench_.Until([&] { return bench_.host.gone; }));
  // Nothing can be withdrawn, so nothing can have been left alone: both are lost.
  EXPECT_EQ(claimed_.status, 502);
  EXPECT_EQ(waiting_.status, 502);
}

TEST_F(WorkerHostileTest, OffersItselfWhatItWasNotSent) {
  // A word as if the node had offered a third request.
  script_->page->Offer(7, 0x1234);
  script_->SendHead(0x1234, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  ExpectEnded();
}

TEST_F(WorkerHostileTest, NothingIsReadAfterTheViolation) {
  script_->SendRaw(std::string(64, '\xff'));
  script_->SendHead(second().id, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  ExpectEnded();
}

// Neither offered nor claimed: it could neither be taken back nor be late.
TEST(WorkerHostileTimeTest, UnclaimsWhatItRuns) {
  WorkerBench bench({.stall_after = Millis(300)});
  ScriptedWorker& script = bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  ASSERT_TRUE(bench.SendClaimed(script, request, exchange));
  for (auto& word : script.page->slots)
    word.store(0);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(exchange.status, 502);
  EXPECT_NE(exchange.body.find("worker_protocol"), std::string::npos);
  EXPECT_TRUE(bench.host.dead_by_crash);
}

TEST(WorkerHostileTimeTest, UnclaimsWhileItDrains) {
  WorkerBench bench({.stall_after = Millis(300)});
  ScriptedWorker& script = bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  ASSERT_TRUE(bench.SendClaimed(script, request, exchange));
  bench.worker.Retire();
  script.page->Offer(RequestSlots::SlotOf(request.id), request.id);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.host.returned_by_death, std::vector{&request});
}

// The word in the page is the worker's to write. What it began to answer, or what was answered for
// it, goes to nobody else whatever the word says: it would be executed twice.

TEST(WorkerHostileInboxTest, OffersAgainWhatItAnswers) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  ASSERT_TRUE(bench.SendClaimed(script, request, exchange));
  script.SendHead(request.id, {.status = 200, .reason = "", .headers = {}}, "begun", 0);
  ASSERT_TRUE(bench.Until([&] { return exchange.responses == 1; }));
  script.page->Offer(RequestSlots::SlotOf(request.id), request.id);
  bench.worker.Retire();
  EXPECT_TRUE(bench.host.returned.empty());
  bench.ground.processes.ExitCode(WorkerId{script.orders.worker_id}, 1);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_TRUE(bench.host.returned_by_death.empty());
  EXPECT_EQ(bench.host.done, std::vector{&request});
  EXPECT_TRUE(exchange.aborted);
}

TEST(WorkerHostileInboxTest, OffersAgainWhatNobodyWaitsFor) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  WorkerRequest request;
  FakeExchange exchange;
  ASSERT_TRUE(bench.SendClaimed(script, request, exchange));
  exchange.GoAway();
  script.page->Offer(RequestSlots::SlotOf(request.id), request.id);
  bench.ground.processes.ExitCode(WorkerId{script.orders.worker_id}, 1);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_TRUE(bench.host.returned_by_death.empty());
  EXPECT_EQ(bench.host.done, std::vector{&request});
}

TEST(WorkerHostileInboxTest, OffersAgainWhatTookTooLong) {
  ReleaseSpec spec = SomeRelease();
  spec.limits.wall_max = Millis(20);
  WorkerBench bench({.stall_after = Seconds(100), .interrupt_grace = Seconds(100)}, spec);
  ScriptedWorker& script = bench.Boot();
  script.on_request = [](ScriptedWorker& self, const Got& got) { self.Claim(got); };
  WorkerRequest request;
  FakeExchange exchange;
  bench.Send(request, exchange);
  ASSERT_TRUE(bench.Until([&] { return exchange.done(); }));
  ASSERT_EQ(exchange.status, 504);
  script.page->Offer(RequestSlots::SlotOf(request.id), request.id);
  bench.worker.Retire();
  EXPECT_TRUE(bench.host.returned.empty());
  bench.ground.processes.ExitCode(WorkerId{script.orders.worker_id}, 1);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_TRUE(bench.host.returned_by_death.empty());
  EXPECT_EQ(exchange.responses, 1);
}

TEST(WorkerHostileMemoryTest, AnswersWhatItDoesNotRead) {
  WorkerBench bench;
  ScriptedWorker& script = bench.Boot();
  bench.BecomeFast(script);
  script.StopReading();
  const std::string body(kInlineBodyMax, 'b');
  std::uint64_t taken = 0;
  WorkerRequest request;
  while (!bench.host.dead && taken < 64U * 1024 * 1024) {
    FakeExchange exchange;
    exchange.request().body.bytes = body;
    exchange.request().body.size = body.size();
    bench.Send(request, exchange);
    taken += body.size();
    // It sees the id in the page.
    const std::size_t slot = RequestSlots::SlotOf(request.id);
    ASSERT_TRUE(script.page->Claim(slot, request.id));
    script.SendHead(request.id, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
    ASSERT_TRUE(bench.Until([&] { return exchange.done(); }));
  }
  EXPECT_TRUE(bench.host.dead_by_crash);
  EXPECT_LE(taken, 4U * 1024 * 1024);
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
}

TEST(WorkerHostileBootTest, AnswersBeforeItIsReady) {
  WorkerBench bench;
  bench.ground.processes.on_start = [](ScriptedWorker& script) {
    script.SendHead(1, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  };
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  ASSERT_EQ(bench.host.boot_failures.size(), 1U);
  EXPECT_EQ(bench.host.boot_failures.front().code, "worker_protocol");
}

TEST(WorkerHostileBootTest, BootReportOfNonsense) {
  WorkerBench bench;
  bench.ground.processes.on_start = [](ScriptedWorker& script) {
    script.Send({.type = FrameType::kBootFailed, .flags = 0, .id = 0, .payload = "\xff\xff"});
  };
  bench.worker.Start(SomeImage());
  ASSERT_TRUE(bench.Until([&] { return bench.host.gone; }));
  EXPECT_EQ(bench.host.boot_failures.front().code, "worker_protocol");
}

}  // namespace
}  // namespace cloister
