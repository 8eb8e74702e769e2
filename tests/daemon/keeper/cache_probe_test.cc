#include "daemon/keeper/cache_probe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

// A server that answers when the test says so.
class CacheProbeTest : public testing::Test {
 protected:
  CacheProbeTest() {
    directory_.Reset(::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Listen();
    probe_.Begin(directory_.get(), clock_.Now());
  }
  void Listen() {
    listener_.Reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = folder_.At("redis.sock");
    path.copy(static_cast<char*>(address.sun_path), path.size());
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    ASSERT_EQ(::listen(listener_.get(), 0), 0);
  }
  bool LookAfter(Millis passed) {
    clock_.Advance(passed);
    return probe_.Look(clock_.Now());
  }
  void Accept() {
    client_.Reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(client_.valid());
  }
  std::string TakeQuestion() const {
    std::array<char, 64> bytes{};
    const ssize_t size = ::recv(client_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    return size <= 0 ? std::string() : std::string(bytes.data(), static_cast<std::size_t>(size));
  }
  void Answer() const { ASSERT_EQ(::send(client_.get(), "-NOAUTH\r\n", 9, 0), 9); }

  TempDir folder_;
  UniqueFd directory_;
  UniqueFd listener_;
  UniqueFd client_;
  FakeClock clock_;
  CacheProbe probe_;
};

constexpr Millis kSecond = CacheProbe::kPeriod;

TEST_F(CacheProbeTest, AServerThatAnswersIsAskedAgainAndAgainOnOneConnection) {
  EXPECT_FALSE(LookAfter(kSecond));
  Accept();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(TakeQuestion(), "PING\r\n") << i;
    Answer();
    EXPECT_EQ(probe_.NextLook(), clock_.Now() + kSecond);
    EXPECT_FALSE(LookAfter(kSecond));
  }
}

TEST_F(CacheProbeTest, OneThatLeavesAQuestionUnansweredHangs) {
  EXPECT_FALSE(LookAfter(kSecond));
  Accept();
  for (int i = 0; i < 5; ++i)
    EXPECT_FALSE(LookAfter(kSecond)) << i;
  EXPECT_TRUE(LookAfter(kSecond));
  EXPECT_EQ(TakeQuestion(), "PING\r\n") << "asked once";
}

TEST_F(CacheProbeTest, AnAnswerInTheLastMomentIsOne) {
  EXPECT_FALSE(LookAfter(kSecond));
  Accept();
  EXPECT_FALSE(LookAfter(CacheProbe::kHangsAfter));
  Answer();
  EXPECT_FALSE(LookAfter(kSecond));
  EXPECT_FALSE(LookAfter(kSecond));
}

TEST_F(CacheProbeTest, WhoSleptLooksTwice) {
  EXPECT_FALSE(LookAfter(kSecond));
  EXPECT_FALSE(LookAfter(Millis(3600000)));
  EXPECT_TRUE(LookAfter(kSecond));
}

TEST_F(CacheProbeTest, OneThatAcceptsNobodyHangs) {
  // All that the kernel lets wait for it.
  std::vector<UniqueFd> waiting;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = folder_.At("redis.sock");
  path.copy(static_cast<char*>(address.sun_path), path.size());
  int connected = 0;
  while (connected == 0) {
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    connected = ::connect(waiting.back().get(), reinterpret_cast<const sockaddr*>(&address),
                          sizeof address);
  }
  for (int i = 0; i < 6; ++i)
    EXPECT_FALSE(LookAfter(kSecond)) << i;
  EXPECT_TRUE(LookAfter(kSecond));
}

TEST_F(CacheProbeTest, OneThatCannotBeAskedTellsNothing) {
  listener_.Reset();
  ASSERT_EQ(::unlink(folder_.At("redis.sock").c_str()), 0);
  for (int i = 0; i < 20; ++i)
    EXPECT_FALSE(LookAfter(kSecond)) << i;
}

TEST_F(CacheProbeTest, AConnectionThatEndsIsMadeAnew) {
  EXPECT_FALSE(LookAfter(kSecond));
  Accept();
  client_.Reset();
  EXPECT_FALSE(LookAfter(kSecond));
  Accept();
  EXPECT_EQ(TakeQuestion(), "PING\r\n");
  Answer();
  EXPECT_FALSE(LookAfter(kSecond));
}

TEST_F(CacheProbeTest, NothingIsAskedBeforeItBeginsAndAfterItEnds) {
  CacheProbe idle;
  EXPECT_FALSE(idle.Look(clock_.Now()));
  EXPECT_FALSE(idle.NextLook().has_value());
  EXPECT_FALSE(LookAfter(kSecond));
  probe_.End();
  EXPECT_FALSE(LookAfter(Millis(3600000)));
  EXPECT_FALSE(probe_.NextLook().has_value());
}

}  // namespace
}  // namespace cloister
