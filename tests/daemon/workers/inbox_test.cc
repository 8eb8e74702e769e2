#include "daemon/workers/inbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "apis/wire/inbox_gone.h"

namespace cloister {
namespace {

// The worker's mapping of the same page.
class OtherSide {
 public:
  explicit OtherSide(int fd)
      : memory_(::mmap(nullptr, kInboxPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) {}
  OtherSide(const OtherSide&) = delete;
  OtherSide& operator=(const OtherSide&) = delete;
  ~OtherSide() { ::munmap(memory_, kInboxPageSize); }
  InboxPage& page() { return *static_cast<InboxPage*>(memory_); }

 private:
  void* memory_;
};

TEST(InboxTest, ExactlyOneSideWins) {
  Inbox inbox = Inbox::Create().value();
  OtherSide worker(inbox.fd());
  inbox.Offer(2, 21);
  EXPECT_TRUE(worker.page().Claim(2, 21));
  EXPECT_TRUE(inbox.IsClaimed(2, 21));
  EXPECT_FALSE(inbox.Withdraw(2, 21));
  inbox.Offer(3, 23);
  EXPECT_FALSE(inbox.IsClaimed(3, 23));
  EXPECT_TRUE(inbox.Withdraw(3, 23));
  EXPECT_FALSE(worker.page().Claim(3, 23));
}

TEST(InboxTest, AnotherIdInTheSlotIsNotClaimed) {
  Inbox inbox = Inbox::Create().value();
  OtherSide worker(inbox.fd());
  inbox.Offer(0, 5);
  EXPECT_FALSE(worker.page().Claim(0, 3));
  EXPECT_FALSE(inbox.Withdraw(0, 3));
  EXPECT_TRUE(worker.page().Claim(0, 5));
  EXPECT_FALSE(inbox.IsClaimed(0, 3));
}

TEST(InboxTest, CannotBeResizedOrSealedFurther) {
  const Inbox inbox = Inbox::Create().value();
  EXPECT_NE(::ftruncate(inbox.fd(), 0), 0);
  EXPECT_NE(::ftruncate(inbox.fd(), 2 * kInboxPageSize), 0);
  EXPECT_NE(::fcntl(inbox.fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
  EXPECT_EQ(::fcntl(inbox.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(InboxTest, TheWorkerSeesWhoseClientHasGone) {
  Inbox inbox = Inbox::Create().value();
  OtherSide worker(inbox.fd());
  inbox.Offer(2, 21);
  EXPECT_FALSE(GoneOf(worker.page()).IsMarked(2, 21));
  inbox.MarkGone(2, 21);
  EXPECT_TRUE(GoneOf(worker.page()).IsMarked(2, 21));
  EXPECT_FALSE(GoneOf(worker.page()).IsMarked(2, 37)) << "the next request of the slot";
  EXPECT_FALSE(GoneOf(worker.page()).IsMarked(3, 21));
  EXPECT_TRUE(worker.page().Claim(2, 21)) << "the slots are as they were";
}

TEST(InboxTest, MovesWithItsMapping) {
  Inbox first = Inbox::Create().value();
  first.Offer(1, 9);
  Inbox second = std::move(first);
  EXPECT_TRUE(second.Withdraw(1, 9));
  second = Inbox::Create().value();
  EXPECT_FALSE(second.Withdraw(1, 9));
}

}  // namespace
}  // namespace cloister
