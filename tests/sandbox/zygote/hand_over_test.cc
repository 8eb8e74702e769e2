#include "sandbox/zygote/hand_over.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "apis/wire/messages.h"
#include "sandbox/image/image.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kWorker = 77;
constexpr int kInboxSeals = F_SEAL_SHRINK | F_SEAL_GROW;

UniqueFd Memfd(off_t size, int seals) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(fd.get(), size), 0);
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

UniqueFd Socket(int type = SOCK_STREAM) {
  std::array<int, 2> ends = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()), 0);
  ::close(ends[1]);
  return UniqueFd(ends[0]);
}

UniqueFd SealedImage() {
  ImageBuilder builder;
  builder.Add("app.py", "x = 1\n", "");
  return builder.BuildMemfd("image").value();
}

HandOver Message() {
  return {.worker_id = kWorker,
          .job = static_cast<std::uint32_t>(WorkerJob::kServe),
          .app = "demo/hello",
          .version = "1.0.0",
          .entry = "app:application",
          .memory_max_bytes = 1000,
          .address_space_max_bytes = 2000,
          .threads_max = 3,
          .environment = std::string("A=1\0", 4)};
}

Packet Good(const HandOver& message = Message()) {
  Packet packet{.bytes = EncodeMessage(message), .fds = {}};
  packet.fds.push_back(SealedImage());
  packet.fds.push_back(Memfd(kInboxPageSize, kInboxSeals));
  packet.fds.push_back(Socket());
  return packet;
}

void ExpectRefused(Packet packet, const char* words) {
  const auto taken = TakeOver(std::move(packet), kWorker);
  ASSERT_FALSE(taken.ok()) << words;
  EXPECT_THAT(taken.error().message, HasSubstr(words));
}

TEST(HandOverTest, TakesWhatItIsGiven) {
  auto taken = TakeOver(Good(), kWorker);
  ASSERT_TRUE(taken.ok()) << taken.error().message;
  const TakenOver& worker = taken.value();
  EXPECT_EQ(worker.context.app, "demo/hello");
  EXPECT_EQ(worker.context.environment, std::string("A=1\0", 4));
  EXPECT_TRUE(worker.context.image.Find("app.py"));
  EXPECT_EQ(worker.limits.memory_max, Bytes{1000});
  EXPECT_EQ(worker.limits.address_space_max, Bytes{2000});
  EXPECT_EQ(worker.limits.threads_max, 3U);
  EXPECT_TRUE(worker.channel.valid());
  EXPECT_FALSE(worker.query.valid());
}

TEST(HandOverTest, TheQueryEndMayBeThere) {
  Packet packet = Good();
  packet.fds.push_back(Socket(SOCK_SEQPACKET));
  const auto taken = TakeOver(std::move(packet), kWorker);
  ASSERT_TRUE(taken.ok()) << taken.error().message;
  EXPECT_TRUE(taken.value().query.valid());
}

TEST(HandOverTest, AWrongMessageIsRefused) {
  ExpectRefused({}, "HandOver");
  HandOver other = Message();
  other.worker_id = kWorker + 1;
  ExpectRefused(Good(other), "another worker");
  HandOver job = Message();
  job.job = 3;
  ExpectRefused(Good(job), "unknown job 3");
  Packet cut = Good();
  cut.bytes.pop_back();
  ExpectRefused(std::move(cut), "malformed");
}

TEST(HandOverTest, AnotherNumberOfDescriptorsIsRefused) {
  Packet fewer = Good();
  fewer.fds.pop_back();
  ExpectRefused(std::move(fewer), "2 descriptors");
  Packet more = Good();
  more.fds.push_back(Socket());
  more.fds.push_back(Socket());
  ExpectRefused(std::move(more), "5 descriptors");
}

TEST(HandOverTest, AChannelThatIsNoStreamSocketIsRefused) {
  Packet packet = Good();
  packet.fds[2] = Memfd(1, 0);
  ExpectRefused(std::move(packet), "the channel");
  Packet query = Good();
  query.fds.push_back(Memfd(1, 0));
  ExpectRefused(std::move(query), "the query end");
  Packet stream = Good();
  stream.fds.push_back(Socket(SOCK_STREAM));
  ExpectRefused(std::move(stream), "the query end");
}

TEST(HandOverTest, AnImageThatCanChangeIsRefused) {
  Packet packet = Good();
  packet.fds[0] = Memfd(4096, F_SEAL_SHRINK | F_SEAL_GROW);
  EXPECT_FALSE(TakeOver(std::move(packet), kWorker).ok());
}

TEST(InboxTest, MustBeSealedAgainstResizing) {
  for (const int seals : {0, F_SEAL_SHRINK, F_SEAL_GROW})
    EXPECT_FALSE(MapInbox(Memfd(kInboxPageSize, seals).get()).ok()) << seals;
  EXPECT_TRUE(MapInbox(Memfd(kInboxPageSize, kInboxSeals).get()).ok());
}

TEST(InboxTest, MustHaveItsSize) {
  for (const off_t size : {off_t{0}, off_t{kInboxPageSize - 1}, off_t{kInboxPageSize + 1}})
    EXPECT_FALSE(MapInbox(Memfd(size, kInboxSeals).get()).ok()) << size;
}

TEST(InboxTest, MustBeAMemoryFile) {
  EXPECT_FALSE(MapInbox(Socket().get()).ok());
  EXPECT_FALSE(MapInbox(-1).ok());
}

TEST(InboxTest, IsSharedWithWhoMadeIt) {
  const UniqueFd inbox = Memfd(kInboxPageSize, kInboxSeals);
  InboxPage* one = MapInbox(inbox.get()).value();
  InboxPage* two = MapInbox(inbox.get()).value();
  one->Offer(3, 5);
  EXPECT_TRUE(two->Claim(3, 5));
  EXPECT_FALSE(one->Withdraw(3, 5));
  EXPECT_EQ(::munmap(one, kInboxPageSize), 0);
  EXPECT_EQ(::munmap(two, kInboxPageSize), 0);
}

// In a child of its own: it moves descriptors that the test needs.
template <typename Check>
int InChild(Check check) {
  const pid_t pid = ::fork();
  if (pid == 0)
    ::_exit(check() ? 0 : 1);
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

bool SameFile(int a, int b) {
  struct stat one = {};
  struct stat two = {};
  return ::fstat(a, &one) == 0 && ::fstat(b, &two) == 0 && one.st_ino == two.st_ino;
}

TEST(PlaceChannelsTest, WhereverTheyComeFrom) {
  // Both orders of the two places, among others.
  for (const auto& [channel, query] :
       {std::pair(3, 4), std::pair(4, 3), std::pair(9, 3), std::pair(4, 9), std::pair(8, 9)})
    EXPECT_EQ(InChild([channel = channel, query = query] {
                const UniqueFd one(::fcntl(Socket().get(), F_DUPFD, 20));
                const UniqueFd two(::fcntl(Socket().get(), F_DUPFD, 30));
                UniqueFd from(::dup2(one.get(), channel));
                UniqueFd from_query(::dup2(two.get(), query));
                return PlaceChannels(std::move(from), std::move(from_query)).ok() &&
                       SameFile(kChannelFd, one.get()) && SameFile(kQueryFd, two.get());
              }),
              0)
        << channel << " " << query;
}

TEST(PlaceChannelsTest, WithoutAQueryEndNothingIsThere) {
  EXPECT_EQ(InChild([] {
              const UniqueFd keep(::fcntl(Socket().get(), F_DUPFD, 20));
              UniqueFd channel(::dup2(keep.get(), kQueryFd));
              return PlaceChannels(std::move(channel), UniqueFd{}).ok() &&
                     SameFile(kChannelFd, keep.get()) && ::fcntl(kQueryFd, F_GETFD) < 0;
            }),
            0);
}

}  // namespace
}  // namespace cloister
