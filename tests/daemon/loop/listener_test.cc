#include "daemon/loop/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/daemon/loop/support.h"

namespace cloister {
namespace {

class Door : public Listener::Handler {
 public:
  void OnAccepted(UniqueFd fd) override { accepted.push_back(std::move(fd)); }
  void OnExhausted(int fd) override {
    ++exhausted;
    EXPECT_EQ(2, ::send(fd, "no", 2, MSG_NOSIGNAL));
  }
  std::vector<UniqueFd> accepted;
  int exhausted = 0;
};

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    address_.sun_family = AF_UNIX;
    // Abstract: it leaves nothing behind.
    const std::string name = "cloister-listener-test-" + std::to_string(::getpid());
    name.copy(address_.sun_path + 1, name.size());
    fd_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    EXPECT_EQ(0, ::bind(fd_.get(), Address(), sizeof address_));
    EXPECT_EQ(0, ::listen(fd_.get(), 200));
  }

  const sockaddr* Address() const { return reinterpret_cast<const sockaddr*>(&address_); }
  UniqueFd Connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(0, ::connect(fd.get(), Address(), sizeof address_));
    return fd;
  }

  Loop loop_;
  sockaddr_un address_ = {};
  UniqueFd fd_;
  Door door_;
};

TEST_F(ListenerTest, AcceptsWhileItIsStarted) {
  Listener listener(loop_, std::move(fd_), door_);
  std::vector<UniqueFd> clients;
  clients.push_back(Connect());
  RunBriefly(loop_);
  EXPECT_EQ(0u, door_.accepted.size());
  listener.Start();
  RunUntil(loop_, [&] { return door_.accepted.size() == 1; });
  EXPECT_NE(0, ::fcntl(door_.accepted[0].get(), F_GETFL) & O_NONBLOCK);
  EXPECT_NE(0, ::fcntl(door_.accepted[0].get(), F_GETFD) & FD_CLOEXEC);
  listener.Stop();
  clients.push_back(Connect());
  RunBriefly(loop_);
  EXPECT_EQ(1u, door_.accepted.size());
  listener.Start();
  for (int i = 0; i < 150; ++i)  // more than one turn takes
    clients.push_back(Connect());
  RunUntil(loop_, [&] { return door_.accepted.size() == 152; });
}

TEST_F(ListenerTest, WithoutDescriptorsTheBacklogMovesOn) {
  Listener listener(loop_, std::move(fd_), door_);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 5; ++i)
    clients.push_back(Connect());
  rlimit limit = {};
  ASSERT_EQ(0, ::getrlimit(RLIMIT_NOFILE, &limit));
  const rlimit before = limit;
  // The number of the next descriptor is the limit.
  const UniqueFd next(::dup(0));
  limit.rlim_cur = static_cast<rlim_t>(next.get()) + 1;
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &limit));
  listener.Start();
  RunUntil(loop_, [&] { return door_.exhausted == 5; });
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &before));
  EXPECT_EQ(0u, door_.accepted.size());
  for (const UniqueFd& client : clients) {
    std::string answer(10, '\0');
    EXPECT_EQ(2, ::recv(client.get(), answer.data(), answer.size(), 0));
    EXPECT_EQ(0, ::recv(client.get(), answer.data(), answer.size(), 0));
  }
  clients.push_back(Connect());
  RunUntil(loop_, [&] { return door_.accepted.size() == 1; });
}

}  // namespace
}  // namespace cloister
