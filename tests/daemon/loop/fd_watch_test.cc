#include "daemon/loop/fd_watch.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <memory>

#include "tests/daemon/loop/support.h"

namespace cloister {
namespace {

class Counter : public FdWatch::Handler {
 public:
  void OnReadable() override {
    ++readable;
    if (then)
      then();
  }
  void OnWritable() override { ++writable; }
  int readable = 0;
  int writable = 0;
  std::function<void()> then;
};

TEST(FdWatchTest, SaysOnlyWhatIsWatched) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Counter counter;
  FdWatch watch(loop, ours.get(), counter);
  RunBriefly(loop);
  EXPECT_EQ(0, counter.readable + counter.writable);
  watch.Watch(true, false);
  RunBriefly(loop);
  EXPECT_EQ(0, counter.readable + counter.writable);
  ASSERT_EQ(1, ::write(theirs.get(), "x", 1));
  RunUntil(loop, [&] { return counter.readable >= 2; });  // level-triggered
  EXPECT_EQ(0, counter.writable);
  watch.Watch(false, true);
  RunUntil(loop, [&] { return counter.writable > 0; });
  watch.Watch(false, false);
  const int before = counter.readable + counter.writable;
  RunBriefly(loop);
  EXPECT_EQ(before, counter.readable + counter.writable);
}

TEST(FdWatchTest, MayBeDestroyedByItsHandler) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Counter counter;
  auto watch = std::make_unique<FdWatch>(loop, ours.get(), counter);
  counter.then = [&] { watch.reset(); };
  watch->Watch(true, true);
  ASSERT_EQ(1, ::write(theirs.get(), "x", 1));
  RunUntil(loop, [&] { return counter.readable > 0; });
  RunBriefly(loop);
  EXPECT_EQ(1, counter.readable);
}

// Two ends of a TCP connection; the second one's close can be a reset.
std::pair<UniqueFd, UniqueFd> TcpPair() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(0, ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size));
  EXPECT_EQ(0, ::listen(listener.get(), 1));
  EXPECT_EQ(0, ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size));
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(0, ::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size));
  return {UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)), std::move(client)};
}

TEST(FdWatchTest, AnErrorIsShownToBothSidesAndTheWatchGoesOn) {
  Loop loop;
  auto [ours, theirs] = TcpPair();
  Counter counter;
  FdWatch watch(loop, ours.get(), counter);
  watch.Watch(true, false);
  const linger reset = {.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(0, ::setsockopt(theirs.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
  theirs.Reset();
  RunUntil(loop, [&] { return counter.readable > 0; });
  EXPECT_GT(counter.writable, 0);
  // Nobody has taken the error: the watch must not have gone silent.
  const int before = counter.readable;
  RunUntil(loop, [&] { return counter.readable > before; });
}

}  // namespace
}  // namespace cloister
