#include "daemon/keeper/control_link.h"

#include <gtest/gtest.h>

#include <optional>

namespace cloister {
namespace {

class ControlLinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = ControlLink::Create();
    ASSERT_TRUE(made.ok());
    link_.emplace(std::move(made.value().first));
    peer_ = std::move(made.value().second);
  }

  std::optional<ControlLink> link_;
  UniqueFd peer_;
};

TEST_F(ControlLinkTest, SendsAndReceives) {
  link_->Send(KillWorker{.worker_id = 7});
  EXPECT_EQ(ReceivePacket(peer_.get()).value().packet.bytes,
            EncodeMessage(KillWorker{.worker_id = 7}));
  EXPECT_EQ(link_->Receive().state, ReceiveState::kWouldBlock);
  ASSERT_TRUE(SendPacket(peer_.get(), EncodeMessage(NodeReady{})).ok());
  EXPECT_EQ(link_->Receive().state, ReceiveState::kPacket);
  EXPECT_FALSE(link_->broken());
}

TEST_F(ControlLinkTest, WhatThePeerDoesNotReadWaitsAndKeepsItsOrder) {
  constexpr std::uint64_t kMany = 20000;
  for (std::uint64_t id = 0; id < kMany; ++id)
    link_->Send(KillWorker{.worker_id = id});
  ASSERT_TRUE(link_->wants_to_write());
  for (std::uint64_t id = 0; id < kMany; ++id) {
    link_->Flush();
    const auto received = ReceivePacket(peer_.get());
    ASSERT_EQ(DecodeMessage<KillWorker>(received.value().packet.bytes).value().worker_id, id);
  }
  EXPECT_FALSE(link_->wants_to_write());
}

TEST_F(ControlLinkTest, APeerThatNeverReadsBreaksItAtTheLimit) {
  std::size_t sent = 0;
  while (!link_->broken() && sent < 2 * ControlLink::kQueueMax) {
    link_->Send(KillWorker{.worker_id = 1});
    ++sent;
  }
  EXPECT_TRUE(link_->broken());
  EXPECT_GT(sent, ControlLink::kQueueMax);
}

TEST_F(ControlLinkTest, ThePeersLastWordsArriveAfterItIsGone) {
  link_->Send(KillWorker{.worker_id = 1});  // is never read
  ASSERT_TRUE(SendPacket(peer_.get(), EncodeMessage(WriterReleased{})).ok());
  ASSERT_TRUE(SendPacket(peer_.get(), EncodeMessage(DrainDone{})).ok());
  peer_.Reset();
  link_->Send(KillWorker{.worker_id = 2});
  EXPECT_FALSE(link_->broken());
  EXPECT_EQ(TypeOf(link_->Receive().packet.bytes), MessageType::kWriterReleased);
  EXPECT_EQ(TypeOf(link_->Receive().packet.bytes), MessageType::kDrainDone);
  EXPECT_EQ(link_->Receive().state, ReceiveState::kClosed);
  EXPECT_TRUE(link_->broken());
}

}  // namespace
}  // namespace cloister
