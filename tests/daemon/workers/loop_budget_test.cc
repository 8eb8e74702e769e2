#include "daemon/workers/loop_budget.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "daemon/workers/frame_channel.h"
#include "tests/support/run_loop.h"

namespace cloister {
namespace {

constexpr AppId kApp{1};
constexpr AppId kOther{2};

std::string FramesOf(FrameType type, std::size_t count, std::string_view payload = {}) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i)
    AppendFrame(bytes, {.type = type, .flags = 0, .id = 0, .payload = payload});
  return bytes;
}

// A channel of an app, and its worker's end.
class Peer : private FrameChannel::Handler {
 public:
  Peer(Loop& loop, LoopBudget& budget, AppId app) {
    std::array<int, 2> ends = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    worker.Reset(ends[1]);
    channel = std::make_unique<FrameChannel>(
        loop, UniqueFd(ends[0]), static_cast<FrameChannel::Handler&>(*this), budget.AccountOf(app));
  }
  // What the socket takes of it.
  std::size_t Send(std::string_view bytes) const {
    const ssize_t sent = ::send(worker.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }

  UniqueFd worker;
  std::unique_ptr<FrameChannel> channel;
  std::size_t paid = 0;  // of kReady, which costs nothing
  std::size_t costly = 0;
  std::size_t batch_max = 0;
  bool closed = false;

 private:
  void OnFrame(const Frame& frame) override {
    ++(LoopCostOf(frame) > 0 ? costly : paid);
    ++batch_;
  }
  void OnBatchEnd() override { batch_max = std::max(batch_max, std::exchange(batch_, 0)); }
  void OnGarbage(const Error& error) override { ADD_FAILURE() << error.message; }
  void OnClosed(bool /*in_frame*/) override { closed = true; }

  std::size_t batch_ = 0;
};

// About 100 small log frames at once, and 1,000 a second.
constexpr LoopBudgetOptions kSmall{.app_rate = 300,
                                   .app_burst = 32,
                                   .shared_rate = 1e6,
                                   .shared_burst = 1e6,
                                   .own_rate = 30,
                                   .own_burst = 30};

class LoopBudgetTest : public testing::Test {
 protected:
  bool Until(const std::function<bool()>& condition) { return RunUntil(loop_, condition); }
  LoopBudget& Make(const LoopBudgetOptions& options) {
    return *(budget_ = std::make_unique<LoopBudget>(loop_, options));
  }

  Loop loop_;
  std::unique_ptr<LoopBudget> budget_;
};

TEST_F(LoopBudgetTest, AnswersAndTheBeginningArePaidFor) {
  for (const FrameType type :
       {FrameType::kResponse, FrameType::kResponseAbort, FrameType::kReady, FrameType::kBootFailed})
    EXPECT_EQ(LoopCostOf({.type = type, .payload = "xxxx"}), 0);
  for (const FrameType type :
       {FrameType::kLog, FrameType::kRefused, FrameType::kBodyCredit, FrameType::kCall,
        FrameType::kResponseBody, FrameType::kCode, FrameType::kQueryUse, FrameType::kQueryBroken})
    EXPECT_GT(LoopCostOf({.type = type, .payload = {}}), 0);
  const std::string large(kFramePayloadMax, 'x');
  EXPECT_GT(LoopCostOf({.type = FrameType::kLog, .payload = large}),
            4 * LoopCostOf({.type = FrameType::kLog, .payload = {}}));
}

TEST_F(LoopBudgetTest, AFloodIsReadAsFastAsItsBudgetComesBack) {
  LoopBudget& budget = Make(kSmall);
  Peer peer(loop_, budget, kApp);
  const std::string flood = FramesOf(FrameType::kLog, 2000);
  ASSERT_EQ(peer.Send(flood), flood.size());
  ASSERT_TRUE(Until([&] { return peer.costly > 0; }));
  const auto begun = std::chrono::steady_clock::now();
  const std::size_t at_once = peer.costly;
  RunFor(loop_, Millis(50));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const double least = LoopCostOf({.type = FrameType::kLog, .payload = {}});
  EXPECT_LE(at_once, kSmall.app_burst / least);
  EXPECT_LE(static_cast<double>(peer.costly) * least,
            kSmall.app_burst + kSmall.app_rate * (seconds + 0.01));
  EXPECT_LT(peer.costly, 2000U);
}

// What cannot be read stays in the worker's socket, and then in the worker.
TEST_F(LoopBudgetTest, AFloodFillsItsSocketInsteadOfTheNode) {
  LoopBudget& budget = Make(kSmall);
  Peer peer(loop_, budget, kApp);
  const std::string flood = FramesOf(FrameType::kLog, 100000);
  std::size_t sent = 0;
  for (int i = 0; i < 20; ++i) {
    sent += peer.Send(std::string_view(flood).substr(sent));
    RunFor(loop_, Millis(1));
  }
  EXPECT_LT(sent, flood.size());
  EXPECT_EQ(peer.Send(flood), 0U);
}

TEST_F(LoopBudgetTest, WhatIsPaidForIsNeverHeldBack) {
  LoopBudget& budget = Make(kSmall);
  Peer flooding(loop_, budget, kApp);
  Peer answering(loop_, budget, kApp);
  (void)flooding.Send(FramesOf(FrameType::kLog, 5000));
  ASSERT_TRUE(Until([&] { return flooding.costly > 0; }));
  for (std::size_t i = 1; i <= 50; ++i) {
    (void)answering.Send(FramesOf(FrameType::kReady, 10));
    ASSERT_TRUE(Until([&] { return answering.paid == 10 * i; }));
  }
  EXPECT_LT(flooding.costly, 5000U);
}

TEST_F(LoopBudgetTest, AnAnswerBehindAFloodComesInTheEnd) {
  LoopBudget& budget = Make(kSmall);
  Peer peer(loop_, budget, kApp);
  std::string bytes = FramesOf(FrameType::kLog, 200);
  bytes += FramesOf(FrameType::kReady, 1);
  (void)peer.Send(bytes);
  ASSERT_TRUE(Until([&] { return peer.paid == 1; }));
  EXPECT_EQ(peer.costly, 200U);
}

TEST_F(LoopBudgetTest, WorkersOfAnAppShareItAndEachGetsItsTurn) {
  LoopBudget& budget = Make(kSmall);
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 4; ++i)
    peers.push_back(std::make_unique<Peer>(loop_, budget, kApp));
  const std::string flood = FramesOf(FrameType::kLog, 5000);
  for (const auto& peer : peers)
    (void)peer->Send(flood);
  ASSERT_TRUE(Until([&] {
    return std::ranges::all_of(peers, [](const auto& peer) { return peer->costly >= 200; });
  }));
  for (const auto& peer : peers)
    EXPECT_LT(peer->costly, 5000U);
}

TEST_F(LoopBudgetTest, AnotherAppIsNotHeldBack) {
  LoopBudget& budget = Make(kSmall);
  Peer flooding(loop_, budget, kApp);
  (void)flooding.Send(FramesOf(FrameType::kLog, 5000));
  ASSERT_TRUE(Until([&] { return flooding.costly > 0; }));
  RunFor(loop_, Millis(5));
  Peer other(loop_, budget, kOther);
  (void)other.Send(FramesOf(FrameType::kLog, 50));
  ASSERT_TRUE(Until([&] { return other.costly == 50; }));
}

TEST_F(LoopBudgetTest, WhenTheAppsTogetherTakeAllEachHasALittleOfItsOwn) {
  LoopBudget& budget = Make({.app_rate = 1e6,
                             .app_burst = 1e6,
                             .shared_rate = 0.001,
                             .shared_burst = 100,
                             .own_rate = 3000,
                             .own_burst = 300});
  Peer first(loop_, budget, kApp);
  const std::string flood = FramesOf(FrameType::kLog, 5000);
  (void)first.Send(flood);
  RunFor(loop_, Millis(20));
  ASSERT_LT(first.costly, 5000U);
  Peer second(loop_, budget, kOther);
  (void)second.Send(flood);
  ASSERT_TRUE(Until([&] { return second.costly >= 1500; }));
}

// One with few frames is not behind many that have very many.
TEST_F(LoopBudgetTest, TheMoreAreBusyTheFewerFramesEachGivesATurn) {
  LoopBudget& budget = Make({});
  constexpr std::size_t kPeers = 32;
  std::vector<std::unique_ptr<Peer>> peers;
  const std::string flood = FramesOf(FrameType::kBodyCredit, 3000, "1234");
  for (std::size_t i = 0; i < kPeers; ++i) {
    peers.push_back(std::make_unique<Peer>(loop_, budget, AppId{i + 1}));
    (void)peers.back()->Send(flood);
  }
  RunFor(loop_, Millis(1));
  for (const auto& peer : peers)
    peer->batch_max = 0;
  ASSERT_TRUE(Until([&] { return peers.back()->batch_max > 0 && peers.front()->batch_max > 0; }));
  EXPECT_LE(peers.front()->batch_max, FrameChannel::kFramesPerTurn / 4);
  EXPECT_LE(peers.back()->batch_max, FrameChannel::kFramesPerTurn / 4);
}

TEST_F(LoopBudgetTest, TheRestOfAWorkerThatEndedIsReadAndOwed) {
  LoopBudget& budget = Make(kSmall);
  const auto account = budget.AccountOf(kApp);
  Peer ended(loop_, budget, kApp);
  (void)ended.Send(FramesOf(FrameType::kLog, 2000));
  ASSERT_TRUE(Until([&] { return ended.costly > 0; }));
  ended.worker.Reset();
  ended.channel->TakeRest();
  EXPECT_EQ(ended.costly, 2000U);
  EXPECT_TRUE(ended.closed);
  EXPECT_FALSE(account->Take(1));
}

TEST_F(LoopBudgetTest, WhoIsClosedOrGoneWaitsForNothing) {
  LoopBudget& budget = Make(kSmall);
  Peer closed(loop_, budget, kApp);
  auto gone = std::make_unique<Peer>(loop_, budget, kApp);
  for (const Peer* const peer : {&closed, gone.get()})
    (void)peer->Send(FramesOf(FrameType::kLog, 5000));
  ASSERT_TRUE(Until([&] { return closed.costly + gone->costly > 50; }));
  RunFor(loop_, Millis(2));
  const std::size_t before = closed.costly;
  closed.channel->Close();
  gone.reset();
  RunFor(loop_, Millis(30));
  EXPECT_EQ(closed.costly, before);
}

// Far more than honest apps do: nothing waits.
TEST_F(LoopBudgetTest, TheUsualBudgetHoldsNoHonestAppBack) {
  const LoopBudgetOptions usual;
  const double log = LoopCostOf({.type = FrameType::kLog, .payload = "a line"});
  const double call = LoopCostOf({.type = FrameType::kCall, .payload = "a key and a value"});
  const double piece = LoopCostOf({.type = FrameType::kResponseBody, .payload = {}});
  // Each in a wake-up of its own, for a second.
  EXPECT_LT(1000 * (log + kLoopCostOfRead), usual.own_rate);
  EXPECT_LT(50000 * (call + kLoopCostOfRead), usual.app_rate);
  EXPECT_LT(50000 * (call + kLoopCostOfRead), usual.shared_rate + usual.own_rate);
  EXPECT_LT(1e9 / kFramePayloadMax * (piece + kLoopCostOfRead), usual.app_rate);
}

}  // namespace
}  // namespace cloister
