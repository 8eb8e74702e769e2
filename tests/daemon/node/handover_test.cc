#include "daemon/node/handover.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apis/wire/messages.h"
#include "tests/support/run_loop.h"

namespace cloister {
namespace {

class HandoverTest : public testing::Test {
 protected:
  HandoverTest() {
    auto pair = MakeControlPair();
    EXPECT_TRUE(pair.ok());
    adopt_ = std::move(pair.value().first);
    pass_on_ = std::move(pair.value().second);
    sender_ = std::make_unique<HandoverSender>(loop_, Duplicate(pass_on_.get()));
  }

  static UniqueFd Duplicate(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }
  static PassedConnection ConnectionOf(std::string read_ahead) {
    return {.connection = {.fd = Duplicate(0), .read_ahead = std::move(read_ahead)}};
  }
  // A node that serves.
  HandoverReceiver Receive() {
    return {loop_, Duplicate(adopt_.get()), [this](PassedConnection passed) {
              EXPECT_TRUE(passed.connection.fd.valid());
              taken_.push_back(std::move(passed.connection.read_ahead));
            }};
  }
  void SendNumbered(int count) {
    for (int i = 0; i < count; ++i) {
      sender_->Send(ConnectionOf(std::to_string(i)));
      numbers_.push_back(std::to_string(i));
    }
  }

  Loop loop_;
  UniqueFd adopt_;  // the keeper's ends
  UniqueFd pass_on_;
  std::unique_ptr<HandoverSender> sender_;
  std::vector<std::string> taken_;
  std::vector<std::string> numbers_;
};

TEST_F(HandoverTest, AConnectionArrivesWithWhatWasReadAhead) {
  auto [client, server] = MakeControlPair().value();
  const std::string read_ahead("GET / HTTP/1.1\r\n\0\xff", 18);
  PassedConnection arrived;
  const HandoverReceiver receiver(loop_, Duplicate(adopt_.get()),
                                  [&](PassedConnection passed) { arrived = std::move(passed); });
  sender_->Send({.server = NodeServer::kAdmin,
                 .connection = {.fd = std::move(server), .read_ahead = read_ahead}});
  ASSERT_TRUE(RunUntil(loop_, [&] { return arrived.connection.fd.valid(); }));
  EXPECT_EQ(NodeServer::kAdmin, arrived.server);
  EXPECT_EQ(read_ahead, arrived.connection.read_ahead);
  ASSERT_TRUE(SendPacket(arrived.connection.fd.get(), "to the client").ok());
  EXPECT_EQ("to the client", ReceivePacket(client.get()).value().packet.bytes);
}

TEST_F(HandoverTest, ConnectionsWaitInOrderForWhoeverServesNext) {
  bool idle = false;
  sender_->SetIdleCallback([&] { idle = true; });
  sender_->Send(ConnectionOf(std::string(std::size_t{100} * 1024, 'x')));
  numbers_.emplace_back(std::size_t{100} * 1024, 'x');
  SendNumbered(2000);
  ASSERT_FALSE(sender_->idle());
  idle = false;
  const HandoverReceiver receiver = Receive();
  EXPECT_TRUE(RunUntil(loop_, [&] { return taken_.size() == numbers_.size(); }));
  EXPECT_EQ(numbers_, taken_);
  EXPECT_TRUE(sender_->idle());
  EXPECT_TRUE(idle);
}

TEST_F(HandoverTest, WhatWasSentOutlivesBothNodes) {
  SendNumbered(3);
  ASSERT_TRUE(sender_->idle());
  sender_.reset();
  {
    const HandoverReceiver dies_at_once = Receive();
  }
  const HandoverReceiver receiver = Receive();
  EXPECT_TRUE(RunUntil(loop_, [&] { return taken_.size() == 3; }));
  EXPECT_EQ(numbers_, taken_);
}

TEST_F(HandoverTest, WhatWasNotSentCanBeTakenBack) {
  SendNumbered(2000);
  std::vector<PassedConnection> back = sender_->TakeBack();
  EXPECT_TRUE(sender_->idle());
  ASSERT_FALSE(back.empty());
  const HandoverReceiver receiver = Receive();
  EXPECT_TRUE(RunUntil(loop_, [&] { return taken_.size() + back.size() == 2000; }));
  for (PassedConnection& passed : back)
    taken_.push_back(std::move(passed.connection.read_ahead));
  EXPECT_EQ(numbers_, taken_);
}

TEST_F(HandoverTest, WhatIsNoConnectionIsPassedOver) {
  const HandoverReceiver receiver = Receive();
  ASSERT_TRUE(SendPacket(pass_on_.get(), "\xff").ok());
  ASSERT_TRUE(SendPacket(pass_on_.get(), EncodeMessage(ClientConnection{.server = 1})).ok());
  for (const std::uint32_t server : {0U, 4U})
    ASSERT_TRUE(
        SendPacket(pass_on_.get(), EncodeMessage(ClientConnection{.server = server}), {0}).ok());
  ASSERT_TRUE(SendPacket(pass_on_.get(), EncodeMessage(Drain{}), {0}).ok());
  SendNumbered(1);
  EXPECT_TRUE(RunUntil(loop_, [&] { return !taken_.empty(); }));
  EXPECT_EQ(numbers_, taken_);
}

}  // namespace
}  // namespace cloister
