#include "daemon/workers/keeper_link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/run_loop.h"

namespace cloister {
namespace {

class KeeperLinkTest : public testing::Test,
                       private KeeperListener,
                       private WorkerControl::Listener {
 protected:
  void SetUp() override {
    auto [node, keeper] = MakeControlPair().value();
    keeper_ = std::move(keeper);
    link_ =
        std::make_unique<KeeperLink>(loop_, std::move(node), static_cast<KeeperListener&>(*this));
    link_->SetListener(this);
  }
  template <typename M>
  void KeeperSends(const M& message, const std::vector<int>& fds = {}) {
    ASSERT_TRUE(SendPacket(keeper_.get(), EncodeMessage(message), fds).ok());
  }
  Packet KeeperReceives() {
    Result<Received> received = ReceivePacket(keeper_.get());
    EXPECT_TRUE(received.ok());
    EXPECT_EQ(received.value().state, ReceiveState::kPacket);
    return std::move(received.value().packet);
  }
  // Runs until that many things were heard; they are in heard_.
  void Hear(std::size_t count) {
    ASSERT_TRUE(RunUntil(loop_, [&] { return heard_.size() >= count; }));
  }

  Loop loop_;
  UniqueFd keeper_;
  std::unique_ptr<KeeperLink> link_;
  std::vector<std::string> heard_;
  std::vector<UniqueFd> fds_;

 private:
  void OnZygoteSocket(UniqueFd socket) override {
    heard_.emplace_back("zygote");
    fds_.push_back(std::move(socket));
  }
  void OnBecomeWriter(UniqueFd predecessor) override {
    heard_.emplace_back(predecessor.valid() ? "writer after another" : "writer");
  }
  void OnDrain(UniqueFd successor) override {
    heard_.emplace_back(successor.valid() ? "drain to another" : "drain");
  }
  void OnAlone() override { heard_.emplace_back("alone"); }
  void OnStop(Millis grace) override { heard_.push_back("stop " + std::to_string(grace.count())); }
  void OnKeeperLost(const Error& why) override { heard_.push_back("lost: " + why.message); }
  void OnWorkerPlaced(WorkerId worker, std::string_view error) override {
    heard_.push_back("placed " + std::to_string(worker.number) + " " + std::string(error));
  }
  void OnWorkerExited(WorkerId worker, std::uint32_t status, Micros cpu) override {
    heard_.push_back("exited " + std::to_string(worker.number) + " " + std::to_string(status) +
                     " " + std::to_string(cpu.count()));
  }
};

TEST_F(KeeperLinkTest, EveryMessageReachesWhoItConcerns) {
  const UniqueFd file(::dup(0));
  KeeperSends(ZygoteSocket{}, {file.get()});
  KeeperSends(BecomeWriter{});
  KeeperSends(BecomeWriter{}, {file.get()});
  KeeperSends(Drain{});
  KeeperSends(Drain{}, {file.get()});
  KeeperSends(NodeAlone{});
  KeeperSends(Stop{.grace_ms = 250});
  KeeperSends(WorkerPlaced{.worker_id = 5, .error = "no room"});
  KeeperSends(WorkerExited{.worker_id = 6, .status = 9, .cpu_us = 77});
  Hear(9);
  EXPECT_EQ(heard_, (std::vector<std::string>{"zygote", "writer", "writer after another", "drain",
                                              "drain to another", "alone", "stop 250",
                                              "placed 5 no room", "exited 6 9 77"}));
  EXPECT_TRUE(fds_.at(0).valid());
}

TEST_F(KeeperLinkTest, OrdersReachTheKeeper) {
  link_->Place(
      {.worker_id = 1, .group = "app-3", .memory_max_bytes = 2, .cpu_millis = 3, .pids_max = 4});
  link_->Kill(WorkerId{7});
  link_->Interrupt(WorkerId{8});
  link_->WantZygote();
  link_->Send(NodeReady{});
  EXPECT_EQ(DecodeMessage<PlaceWorker>(KeeperReceives().bytes).value().group, "app-3");
  EXPECT_EQ(DecodeMessage<KillWorker>(KeeperReceives().bytes).value().worker_id, 7U);
  EXPECT_EQ(DecodeMessage<InterruptWorker>(KeeperReceives().bytes).value().worker_id, 8U);
  EXPECT_TRUE(DecodeMessage<ZygoteWanted>(KeeperReceives().bytes).ok());
  EXPECT_TRUE(DecodeMessage<NodeReady>(KeeperReceives().bytes).ok());
}

TEST_F(KeeperLinkTest, MessagesThatDoNotFitWaitInOrder) {
  constexpr std::uint64_t kMany = 20000;
  for (std::uint64_t i = 0; i < kMany; ++i)
    link_->Kill(WorkerId{i});
  ASSERT_EQ(::fcntl(keeper_.get(), F_SETFL, O_NONBLOCK), 0);
  std::uint64_t next = 0;
  const auto read_all = [&] {
    while (true) {
      const Received received = ReceivePacket(keeper_.get()).value();
      if (received.state != ReceiveState::kPacket)
        return next == kMany;
      EXPECT_EQ(DecodeMessage<KillWorker>(received.packet.bytes).value().worker_id, next++);
    }
  };
  EXPECT_TRUE(RunUntil(loop_, read_all));
}

TEST_F(KeeperLinkTest, GoneKeeperIsTold) {
  keeper_.Reset();
  Hear(1);
  EXPECT_EQ(heard_, std::vector<std::string>{"lost: the keeper closed the control socket"});
  RunFor(loop_, Millis(2));
  EXPECT_EQ(heard_.size(), 1U);
}

TEST_F(KeeperLinkTest, NonsenseIsTold) {
  ASSERT_TRUE(SendPacket(keeper_.get(), "\xff nonsense").ok());
  KeeperSends(Drain{});
  Hear(1);
  EXPECT_TRUE(heard_.front().starts_with("lost: unexpected from the keeper"));
  RunFor(loop_, Millis(2));
  EXPECT_EQ(heard_.size(), 1U) << "nothing is believed after it";
}

TEST_F(KeeperLinkTest, TruncatedMessageIsTold) {
  const std::string whole = EncodeMessage(WorkerExited{.worker_id = 6, .status = 9, .cpu_us = 77});
  ASSERT_TRUE(SendPacket(keeper_.get(), whole.substr(0, whole.size() - 1)).ok());
  Hear(1);
  EXPECT_TRUE(heard_.front().starts_with("lost: "));
}

TEST_F(KeeperLinkTest, NodeStartComesBeforeTheLoop) {
  auto [node, keeper] = MakeControlPair().value();
  const NodeStart start{.generation = 4,
                        .settings = "x = 1",
                        .state_dir = "/s",
                        .writer = 1,
                        .per_worker_uids = 0,
                        .cgroups = "v2",
                        .fd_names = "http zygote"};
  ASSERT_TRUE(SendPacket(keeper.get(), EncodeMessage(start), {0, 0}).ok());
  const Result<NodeOrders> orders = ReceiveNodeStart(node.get());
  ASSERT_TRUE(orders.ok());
  EXPECT_EQ(orders.value().start, start);
  EXPECT_EQ(orders.value().fds.size(), 2U);
  keeper.Reset();
  EXPECT_FALSE(ReceiveNodeStart(node.get()).ok());
}

}  // namespace
}  // namespace cloister
