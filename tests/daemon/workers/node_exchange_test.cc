#include "daemon/workers/node_exchange.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/daemon/workers/worker_fixture.h"

namespace cloister {
namespace {

using Got = ScriptedWorker::Got;
using How = NodeAnswer::How;

constexpr std::size_t kBodyMax = 4096;

class NodeExchangeTest : public testing::Test {
 protected:
  NodeExchange& Make(const NodeTerms& terms = {.ends_worker = true}) {
    exchange_ = std::make_unique<NodeExchange>(
        NodeExchange::Parts{.loop = bench_.ground.loop, .clock = bench_.ground.clock}, terms,
        kBodyMax, [this] { ++ends_; });
    return *exchange_;
  }
  NodeExchange& Ask(const std::string& method = "GET") {
    EXPECT_FALSE(
        Make()
            .SetRequest(method + " /x?y HTTP/1.1\r\nhost: Hello.demo.localhost\r\n\r\n", "")
            .has_value());
    bench_.Send(request_, *exchange_);
    return *exchange_;
  }
  // What every request is answered with.
  void Answer(const ResponseHead& head, const std::string& body) {
    script_.on_request = [head, body](ScriptedWorker& self, const Got& got) {
      self.Claim(got);
      self.SendHead(got.id, head, body, kFrameEnd);
    };
  }
  bool UntilEnd() {
    return bench_.Until([this] { return ends_ > 0; });
  }

  WorkerBench bench_;
  ScriptedWorker& script_ = bench_.Boot();
  WorkerRequest request_;
  std::unique_ptr<NodeExchange> exchange_;
  int ends_ = 0;
};

TEST_F(NodeExchangeTest, AsksAsAClientWouldAndKeepsTheAnswer) {
  Answer(
      {.status = 404,
       .reason = "Gone Fishing",
       .headers = {{.name = "Content-Type", .value = "text/plain"}, {.name = "X-A", .value = "b"}}},
      "nothing");
  const NodeExchange& exchange = Ask();
  ASSERT_TRUE(UntilEnd());
  EXPECT_EQ(exchange.answer().how, How::kWhole);
  EXPECT_EQ(exchange.answer().status, 404);
  EXPECT_EQ(exchange.answer().reason, "Gone Fishing");
  EXPECT_EQ(exchange.answer().headers, "Content-Type: text/plain\nX-A: b\n");
  EXPECT_EQ(exchange.answer().body, "nothing");
  EXPECT_EQ(exchange.answer().problem, "");
  ASSERT_EQ(script_.requests.size(), 1U);
  EXPECT_EQ(script_.requests[0].method, "GET");
  EXPECT_EQ(script_.requests[0].target, "/x?y");
  EXPECT_EQ(script_.requests[0].request_id.size(), kRequestIdSize);
  EXPECT_FALSE(script_.requests[0].for_runtime);
  EXPECT_EQ(ends_, 1);
}

TEST_F(NodeExchangeTest, WhatAClientMayNotAskIsRefused) {
  EXPECT_TRUE(Make().SetRequest("GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n", "").has_value());
}

TEST_F(NodeExchangeTest, ACallIsForTheRuntime) {
  Answer({.status = 200, .reason = "", .headers = {}}, "1");
  NodeExchange& exchange = Make({.for_runtime = true});
  exchange.SetCall("match", {.name = "pattern", .value = "a\nb"}, "the body");
  bench_.Send(request_, exchange);
  ASSERT_TRUE(UntilEnd());
  EXPECT_EQ(exchange.answer().body, "1");
  ASSERT_EQ(script_.requests.size(), 1U);
  EXPECT_TRUE(script_.requests[0].for_runtime);
  EXPECT_EQ(script_.requests[0].target, "match");
  EXPECT_EQ(script_.requests[0].headers.at(0).second, "a\nb");
  EXPECT_EQ(script_.requests[0].body, "the body");
}

TEST_F(NodeExchangeTest, ABodyAtTheBoundIsWhole) {
  Answer({.status = 200, .reason = "", .headers = {}}, std::string(kBodyMax, 'x'));
  const NodeExchange& exchange = Ask();
  ASSERT_TRUE(UntilEnd());
  EXPECT_EQ(exchange.answer().how, How::kWhole);
  EXPECT_EQ(exchange.answer().body.size(), kBodyMax);
}

TEST_F(NodeExchangeTest, AWholeBodyBeyondTheBoundIsCutThere) {
  Answer({.status = 200, .reason = "", .headers = {}}, std::string(kBodyMax + 1, 'x'));
  const NodeExchange& exchange = Ask();
  ASSERT_TRUE(UntilEnd());
  EXPECT_EQ(exchange.answer().how, How::kTooLarge);
  EXPECT_EQ(exchange.answer().body.size(), kBodyMax);
  EXPECT_TRUE(bench_.ground.processes.killed.empty()) << "it had answered";
}

TEST_F(NodeExchangeTest, AnEndlessBodyEndsAtTheBoundAndSoDoesItsWorker) {
  script_.on_request = [](ScriptedWorker& self, const Got& got) {
    self.Claim(got);
    self.SendHead(got.id, {.status = 200, .reason = "", .headers = {}}, std::string(kBodyMax, 'x'),
                  0);
    self.SendBody(got.id, "x", 0);
  };
  const NodeExchange& exchange = Ask();
  ASSERT_TRUE(bench_.Until([this] { return bench_.host.gone; }));
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(exchange.answer().how, How::kTooLarge);
  EXPECT_EQ(exchange.answer().body.size(), kBodyMax);
  EXPECT_EQ(bench_.ground.processes.killed.size(), 1U);
  EXPECT_FALSE(bench_.host.dead_by_crash);
}

TEST_F(NodeExchangeTest, GivenUpBeforeItIsClaimedItCostsNoWorker) {
  Ask();
  exchange_.reset();
  EXPECT_EQ(bench_.worker.in_flight(), 0U);
  EXPECT_EQ(bench_.worker.state(), WorkerState::kIdle);
  EXPECT_EQ(ends_, 0);
}

TEST_F(NodeExchangeTest, GivenUpWhileItRunsItsWorkerIsEnded) {
  script_.on_request = [](ScriptedWorker& self, const Got& got) { self.Claim(got); };
  Ask();
  ASSERT_TRUE(bench_.Until([this] { return !script_.requests.empty(); }));
  exchange_.reset();
  EXPECT_EQ(bench_.worker.state(), WorkerState::kDead);
  EXPECT_FALSE(bench_.host.dead_by_crash);
  EXPECT_EQ(ends_, 0);
}

TEST_F(NodeExchangeTest, ABodyShorterThanItsLengthIsCut) {
  script_.on_request = [](ScriptedWorker& self, const Got& got) {
    self.Claim(got);
    self.SendHead(
        got.id,
        {.status = 200, .reason = "", .headers = {{.name = "Content-Length", .value = "10"}}},
        "short", 0);
    self.SendBody(got.id, "", kFrameEnd);
  };
  const NodeExchange& exchange = Ask();
  ASSERT_TRUE(UntilEnd());
  EXPECT_EQ(exchange.answer().how, How::kCut);
  EXPECT_EQ(exchange.answer().body, "short");
}

TEST_F(NodeExchangeTest, AHeadHasALengthAndNoBody) {
  Answer({.status = 200, .reason = "", .headers = {{.name = "Content-Length", .value = "100000"}}},
         "");
  const NodeExchange& exchange = Ask("HEAD");
  ASSERT_TRUE(UntilEnd());
  EXPECT_EQ(exchange.answer().how, How::kWhole);
  EXPECT_EQ(exchange.answer().status, 200);
}

TEST_F(NodeExchangeTest, ADeathBeforeTheAnswerIsTheNodesProblem) {
  script_.on_request = [](ScriptedWorker& self, const Got& got) {
    self.Claim(got);
    self.Close();
  };
  const NodeExchange& exchange = Ask();
  ASSERT_TRUE(UntilEnd());
  EXPECT_EQ(exchange.answer().status, 502);
  EXPECT_EQ(exchange.answer().problem, "worker_died");
}

TEST_F(NodeExchangeTest, ADeathInTheMiddleIsTold) {
  script_.on_request = [](ScriptedWorker& self, const Got& got) {
    self.Claim(got);
    self.SendHead(got.id, {.status = 200, .reason = "", .headers = {}}, "half", 0);
    self.Close();
  };
  const NodeExchange& exchange = Ask();
  ASSERT_TRUE(UntilEnd());
  EXPECT_EQ(exchange.answer().how, How::kCut);
  EXPECT_EQ(exchange.answer().status, 200);
  EXPECT_EQ(exchange.answer().problem, "worker_died");
}

TEST_F(NodeExchangeTest, HeadersAreKeptUpToABound) {
  const std::string value(8000, 'v');
  Answer({.status = 200,
          .reason = "",
          .headers = {{.name = "A", .value = value}, {.name = "B", .value = value}}},
         "");
  const NodeExchange& exchange = Ask();
  ASSERT_TRUE(UntilEnd());
  EXPECT_EQ(exchange.answer().headers.size(), NodeExchange::kHeadersShown);
}

}  // namespace
}  // namespace cloister
