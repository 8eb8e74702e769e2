#include "daemon/workers/frame_channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/run_loop.h"

namespace cloister {
namespace {

class FrameChannelTest : public testing::Test, private FrameChannel::Handler {
 protected:
  void SetUp() override {
    std::array<int, 2> ends = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    peer_.Reset(ends[1]);
    channel_ = std::make_unique<FrameChannel>(loop_, UniqueFd(ends[0]),
                                              static_cast<FrameChannel::Handler&>(*this));
  }
  void PeerSends(std::string_view bytes) {
    ASSERT_EQ(::write(peer_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  static std::string LogFrame(std::string_view payload) {
    std::string bytes;
    AppendFrame(bytes, {.type = FrameType::kLog, .flags = 0, .id = 0, .payload = payload});
    return bytes;
  }
  bool Until(const std::function<bool()>& condition) { return RunUntil(loop_, condition); }

  Loop loop_;
  UniqueFd peer_;
  std::unique_ptr<FrameChannel> channel_;
  std::vector<std::string> payloads_;
  std::vector<std::string> garbage_;
  std::vector<std::size_t> batch_sizes_;
  std::size_t before_batch_ = 0;
  std::function<void()> on_batch_;
  int batches_ = 0;
  int closed_ = 0;
  bool closed_in_frame_ = false;
  bool close_on_frame_ = false;

 private:
  void OnFrame(const Frame& frame) override {
    payloads_.emplace_back(frame.payload);
    if (close_on_frame_)
      channel_->Close();
  }
  void OnBatchEnd() override {
    ++batches_;
    batch_sizes_.push_back(payloads_.size() - before_batch_);
    before_batch_ = payloads_.size();
    if (on_batch_)
      on_batch_();
  }
  void OnGarbage(const Error& error) override { garbage_.push_back(error.message); }
  void OnClosed(bool in_frame) override {
    ++closed_;
    closed_in_frame_ = in_frame;
  }
};

TEST_F(FrameChannelTest, FramesThatArriveTogetherAreOneBatch) {
  PeerSends(LogFrame("one") + LogFrame("two"));
  ASSERT_TRUE(Until([&] { return batches_ > 0; }));
  EXPECT_EQ(payloads_, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(batches_, 1);
}

TEST_F(FrameChannelTest, FrameInPiecesIsPutTogether) {
  const std::string bytes = LogFrame("first") + LogFrame(std::string(50000, 'x')) + LogFrame("end");
  for (std::size_t at = 0; at < bytes.size(); at += 9973) {
    PeerSends(bytes.substr(at, 9973));
    RunFor(loop_, Millis(1));
  }
  ASSERT_TRUE(Until([&] { return payloads_.size() == 3; }));
  EXPECT_EQ(payloads_[1].size(), 50000U);
  EXPECT_EQ(payloads_[2], "end");
}

TEST_F(FrameChannelTest, EveryCutOfTwoFramesGivesBoth) {
  const std::string bytes = LogFrame("ab") + LogFrame("c");
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    payloads_.clear();
    if (cut > 0)
      PeerSends(bytes.substr(0, cut));
    RunFor(loop_, Millis(1));
    if (cut < bytes.size())
      PeerSends(bytes.substr(cut));
    ASSERT_TRUE(Until([&] { return payloads_.size() == 2; })) << cut;
    EXPECT_EQ(payloads_, (std::vector<std::string>{"ab", "c"}));
  }
}

TEST_F(FrameChannelTest, GarbageClosesTheChannel) {
  PeerSends(LogFrame("good") + std::string(12, '\xff') + LogFrame("never"));
  ASSERT_TRUE(Until([&] { return !garbage_.empty(); }));
  EXPECT_EQ(payloads_, std::vector<std::string>{"good"});
  RunFor(loop_, Millis(2));
  EXPECT_EQ(garbage_.size(), 1U);
  EXPECT_EQ(closed_, 0);
  char byte = 0;
  EXPECT_EQ(::recv(peer_.get(), &byte, 1, 0), 0) << "the peer sees the end";
}

TEST_F(FrameChannelTest, NothingComesAfterClose) {
  close_on_frame_ = true;
  PeerSends(LogFrame("one") + LogFrame("two"));
  ASSERT_TRUE(Until([&] { return !payloads_.empty(); }));
  RunFor(loop_, Millis(2));
  EXPECT_EQ(payloads_.size(), 1U);
  EXPECT_EQ(batches_, 0);
  EXPECT_EQ(closed_, 0);
}

TEST_F(FrameChannelTest, EndInAFrameIsTold) {
  PeerSends(LogFrame("whole") + LogFrame("half").substr(0, 13));
  peer_.Reset();
  ASSERT_TRUE(Until([&] { return closed_ == 1; }));
  EXPECT_EQ(payloads_, std::vector<std::string>{"whole"});
  EXPECT_TRUE(closed_in_frame_);
}

TEST_F(FrameChannelTest, WhatAPeerSentBeforeItDiedIsRead) {
  // The peer has not read what it was sent: our next write breaks, and its last words are there.
  channel_->Append(FrameType::kShutdown, 0, 0, {});
  RunFor(loop_, Millis(2));
  PeerSends(LogFrame("last words"));
  peer_.Reset();
  channel_->Append(FrameType::kShutdown, 0, 0, {});
  ASSERT_TRUE(Until([&] { return closed_ == 1; }));
  EXPECT_EQ(payloads_, std::vector<std::string>{"last words"});
  EXPECT_FALSE(closed_in_frame_);
}

TEST_F(FrameChannelTest, TakeRestReadsAllAtOnce) {
  std::string many;
  for (int i = 0; i < 100; ++i)
    many += LogFrame(std::string(1000, 'x'));
  PeerSends(many);
  peer_.Reset();
  channel_->TakeRest();
  EXPECT_EQ(payloads_.size(), 100U);
  EXPECT_EQ(closed_, 1);
}

// `count` tiny frames with their numbers.
std::string NumberedFrames(std::size_t count) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i)
    AppendFrame(bytes,
                {.type = FrameType::kLog, .flags = 0, .id = 0, .payload = std::to_string(i)});
  return bytes;
}

// Whatever else the loop has to do gets its turn between two shares.
TEST_F(FrameChannelTest, AFloodIsGivenInShares) {
  constexpr std::size_t kMost = FrameChannel::kFramesPerTurn;
  const std::pair<std::size_t, std::vector<std::size_t>> floods[] = {
      {kMost - 1, {kMost - 1}},
      {kMost, {kMost}},
      {kMost + 1, {kMost, 1}},
      {3 * kMost + 7, {kMost, kMost, kMost, 7}}};
  int turn = 0;
  std::vector<int> turns;
  on_batch_ = [&] { turns.push_back(turn); };
  const std::function<void()> count_turns = [&] {
    ++turn;
    loop_.Post(count_turns);
  };
  count_turns();
  for (const auto& [count, shares] : floods) {
    payloads_.clear();
    before_batch_ = 0;
    batch_sizes_.clear();
    turns.clear();
    PeerSends(NumberedFrames(count));
    const std::size_t size = count;
    ASSERT_TRUE(Until([&] { return payloads_.size() == size; }));
    RunFor(loop_, Millis(2));
    EXPECT_EQ(batch_sizes_, shares);
    EXPECT_EQ(std::ranges::adjacent_find(turns), turns.end());
    for (std::size_t i = 0; i < count; ++i)
      ASSERT_EQ(payloads_[i], std::to_string(i));
  }
}

TEST_F(FrameChannelTest, AFloodThatEndsIsGivenWhole) {
  PeerSends(NumberedFrames(1000));
  peer_.Reset();
  ASSERT_TRUE(Until([&] { return closed_ == 1; }));
  EXPECT_EQ(payloads_.size(), 1000U);
  EXPECT_FALSE(closed_in_frame_);
}

TEST_F(FrameChannelTest, TakeRestGivesWhatWaitedForItsTurn) {
  PeerSends(NumberedFrames(1000));
  on_batch_ = [this] { loop_.Stop(); };
  loop_.Run();
  ASSERT_EQ(payloads_.size(), FrameChannel::kFramesPerTurn);
  PeerSends(NumberedFrames(1));
  peer_.Reset();
  channel_->TakeRest();
  EXPECT_EQ(payloads_.size(), 1001U);
  EXPECT_EQ(closed_, 1);
  RunFor(loop_, Millis(2));
  EXPECT_EQ(payloads_.size(), 1001U);
}

TEST_F(FrameChannelTest, WritesLeaveOncePerTurn) {
  channel_->Append(FrameType::kShutdown, 0, 0, {});
  channel_->Append(FrameType::kCredit, 0, 3, "1234");
  RunFor(loop_, Millis(2));
  std::array<char, 100> bytes = {};
  EXPECT_EQ(::recv(peer_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT),
            static_cast<ssize_t>(2 * kFrameHeaderSize + 4));
}

// Whether there is something to read, at the end of a turn and before what is written then.
class LookAtTurnEnd : public TurnTask {
 public:
  explicit LookAtTurnEnd(int fd) : fd_(fd) {}
  void OnTurnEnd() override {
    std::array<char, 64> bytes{};
    size = ::recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_PEEK);
    looked = true;
  }

  bool looked = false;
  ssize_t size = 0;

 private:
  int fd_;
};

TEST_F(FrameChannelTest, AnAnswerLeavesWithTheBatchThatItAnswers) {
  LookAtTurnEnd look(peer_.get());
  on_batch_ = [&] {
    loop_.AtTurnEnd(look);
    channel_->out() += LogFrame("answer");
    channel_->TouchAnswer();
  };
  PeerSends(LogFrame("question"));
  ASSERT_TRUE(Until([&] { return look.looked; }));
  EXPECT_EQ(look.size, static_cast<ssize_t>(LogFrame("answer").size()));
  // What comes later is no answer to what is being given.
  on_batch_ = nullptr;
  channel_->out() += LogFrame("answer");
  channel_->TouchAnswer();
  EXPECT_EQ(channel_->pending(), LogFrame("answer").size());
  ASSERT_TRUE(Until([&] { return channel_->pending() == 0; }));
}

TEST_F(FrameChannelTest, AnAnswerToAPeerThatIsGoneEndsTheChannel) {
  on_batch_ = [&] {
    peer_.Reset();
    channel_->out() += LogFrame("answer");
    channel_->TouchAnswer();
  };
  PeerSends(LogFrame("question"));
  ASSERT_TRUE(Until([&] { return closed_ > 0; }));
  EXPECT_EQ(payloads_.size(), 1U);
  EXPECT_EQ(closed_, 1);
}

}  // namespace
}  // namespace cloister
