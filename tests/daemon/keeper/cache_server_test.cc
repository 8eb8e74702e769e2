#include "daemon/keeper/cache_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

class NoGroups : public Cgroups {
 public:
  const char* version() const override { return "none"; }
  const std::string& reason() const override { return reason_; }
  std::vector<std::string> Directories() const override { return {}; }
  Result<void> Set(const std::string& group, const GroupLimits& limits) override {
    groups.push_back(group);
    memory = limits.memory_max;
    return {};
  }
  Result<void> SetWeight(const std::string&, std::uint64_t) override { return {}; }
  Result<void> SetBackground(const std::string&, bool) override { return {}; }
  Result<void> Move(const std::string& /*group*/, pid_t pid) override {
    moved = pid;
    return {};
  }
  void Remove(const std::string& /*group*/) override {}
  void RemoveAll() override {}

  std::vector<std::string> groups;
  Bytes memory;
  pid_t moved = 0;

 private:
  std::string reason_;
};

class CacheServerTest : public testing::Test {
 protected:
  CacheServerTest() {
    Result<UniqueFd> made = MakeCacheDirectory(state_.path(), ::geteuid(), ::geteuid());
    EXPECT_TRUE(made.ok());
    directory_ = std::move(made).value();
    lock_.Reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }

  CacheServerOptions Options() const {
    return {.program = "/usr/bin/redis-server",
            .memory = MiB(16),
            .uid = {},
            .network = ChildNetwork::kHost,
            .directory_fd = directory_.get(),
            .lock_fd = lock_.get()};
  }
  // Listens to the server until `condition` holds or it has ended.
  template <typename Condition>
  bool Listen(CacheServer& server, Condition condition) {
    while (!condition() && server.output_fd() >= 0) {
      pollfd watched{.fd = server.output_fd(), .events = POLLIN, .revents = 0};
      if (::poll(&watched, 1, 20000) != 1)
        return false;
      server.ReadOutput();
    }
    return condition();
  }
  void Reap(CacheServer& server) {
    int status = 0;
    const pid_t pid = server.pid();
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(server.OnExit(pid, status));
  }
  // What the server answers to a command in its simple form.
  std::string Ask(const std::string& command) const {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = state_.At("cache/redis.sock");
    path.copy(static_cast<char*>(address.sun_path), path.size());
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return "cannot connect";
    const std::string sent = command + "\r\n";
    EXPECT_EQ(::write(fd.get(), sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
    (void)::shutdown(fd.get(), SHUT_WR);
    std::string answer;
    std::array<char, 4096> part{};
    for (ssize_t size = 0; (size = ::read(fd.get(), part.data(), part.size())) > 0;)
      answer.append(part.data(), static_cast<std::size_t>(size));
    return answer;
  }

  TempDir state_;
  UniqueFd directory_;
  UniqueFd lock_;
  NoGroups groups_;
  FakeClock clock_;
};

TEST_F(CacheServerTest, OneThatSpeaksWithoutEndHoldsUpNobody) {
  CacheServerOptions options = Options();
  options.program = "/usr/bin/yes";
  CacheServer server(std::move(options), groups_, clock_);
  server.Start();
  ASSERT_GT(server.pid(), 0);
  // Returns, although there is always more.
  for (int turn = 0; turn < 3; ++turn) {
    pollfd watched{.fd = server.output_fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&watched, 1, 20000), 1);
    server.ReadOutput();
  }
  server.Kill();
  Reap(server);
}

TEST_F(CacheServerTest, ServesOurCommandsOnItsSocketAndNoOthers) {
  CacheServer server(Options(), groups_, clock_);
  server.Start();
  ASSERT_TRUE(Listen(server, [&] { return server.ready(); }));
  EXPECT_EQ(Ask("PING").substr(0, 7), "-NOAUTH");
  const std::string login = "AUTH cloister x\r\n";
  EXPECT_EQ(Ask(login + "PING"), "+OK\r\n+PONG\r\n");
  EXPECT_EQ(Ask(login + "EVAL \"return redis.call('SET',KEYS[1],'1')\" 1 c:k\r\nGET c:k"),
            "+OK\r\n+OK\r\n$1\r\n1\r\n");
  for (const char* command :
       {"KEYS *", "GET other", "FLUSHALL", "CONFIG GET *", "SHUTDOWN", "DEBUG SLEEP 1", "SAVE",
        "BGSAVE", "REPLICAOF h 1", "MODULE LIST", "ACL LIST", "SUBSCRIBE c:x", "CLIENT LIST",
        "SCRIPT FLUSH", "EVAL \"return redis.call('FLUSHALL')\" 0",
        "EVAL \"return redis.call('GET','x')\" 0"}) {
    const std::string answer = Ask(login + command);
    EXPECT_EQ(answer.substr(0, 6), "+OK\r\n-") << command << ": " << answer;
  }
  EXPECT_NE(Ask(login + "INFO memory").find("maxmemory:16777216"), std::string::npos);
  EXPECT_EQ(groups_.groups, std::vector<std::string>{"cache"});
  EXPECT_GT(groups_.memory, MiB(16));
  EXPECT_EQ(groups_.moved, server.pid());
  server.Kill();
  Reap(server);
  EXPECT_FALSE(server.NextTick().has_value()) << "ended for good";
}

TEST_F(CacheServerTest, OneThatDiesIsStartedAgainEmpty) {
  CacheServer server(Options(), groups_, clock_);
  server.Start();
  ASSERT_TRUE(Listen(server, [&] { return server.ready(); }));
  const std::string login = "AUTH cloister x\r\n";
  EXPECT_EQ(Ask(login + "SET c:k 1"), "+OK\r\n+OK\r\n");
  const pid_t first = server.pid();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  Reap(server);
  ASSERT_TRUE(server.NextTick().has_value());
  clock_.Advance(Seconds(1));
  server.Tick();
  ASSERT_TRUE(Listen(server, [&] { return server.ready(); }));
  EXPECT_NE(server.pid(), first);
  EXPECT_EQ(Ask(login + "GET c:k"), "+OK\r\n$-1\r\n");
  server.Start();  // a reload: nothing to do
  server.Kill();
  Reap(server);
}

TEST_F(CacheServerTest, OneThatHangsIsKilledAndStartedAnew) {
  CacheServer server(Options(), groups_, clock_);
  server.Start();
  ASSERT_TRUE(Listen(server, [&] { return server.ready(); }));
  const pid_t first = server.pid();
  ASSERT_EQ(::kill(first, SIGSTOP), 0);
  testing::internal::CaptureStderr();
  for (int seconds = 0; seconds < 7; ++seconds) {
    ASSERT_TRUE(server.NextTick().has_value());
    clock_.Advance(Seconds(1));
    server.Tick();
  }
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("cache_server_hung"), std::string::npos) << said;
  EXPECT_FALSE(server.NextTick().has_value()) << "killed once";
  Reap(server);
  ASSERT_TRUE(server.NextTick().has_value());
  clock_.Advance(Seconds(1));
  server.Tick();
  ASSERT_TRUE(Listen(server, [&] { return server.ready(); }));
  EXPECT_NE(server.pid(), first);
  server.Kill();
  Reap(server);
}

TEST_F(CacheServerTest, OneThatNeverComesToAcceptConnectionsIsKilled) {
  state_.Write("silent", "#!/bin/sh\nexec sleep 1000\n");
  ASSERT_EQ(::chmod(state_.At("silent").c_str(), 0755), 0);
  CacheServerOptions options = Options();
  options.program = state_.At("silent");
  CacheServer server(options, groups_, clock_);
  server.Start();
  clock_.Advance(Seconds(29));
  server.Tick();
  ASSERT_EQ(server.NextTick(), clock_.Now() + Seconds(1));
  clock_.Advance(Seconds(1));
  server.Tick();
  Reap(server);
  ASSERT_TRUE(server.NextTick().has_value());
  server.Kill();
}

TEST_F(CacheServerTest, OneThatCannotBeStartedIsTriedAgainWithoutEnd) {
  CacheServerOptions options = Options();
  options.program = state_.At("none");
  CacheServer server(options, groups_, clock_);
  testing::internal::CaptureStderr();
  server.Start();
  for (const int seconds : {1, 2, 4, 8, 16, 30, 30}) {
    EXPECT_EQ(server.pid(), 0);
    ASSERT_EQ(server.NextTick(), clock_.Now() + Seconds(seconds));
    server.Start();  // a reload: not sooner
    clock_.Advance(Seconds(seconds));
    server.Tick();
  }
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("cache_server_not_started"), std::string::npos) << said;
  EXPECT_EQ(said.find("cache_server_not_started"), said.rfind("cache_server_not_started"));
  // Somebody installs it.
  ASSERT_EQ(::symlink("/usr/bin/redis-server", state_.At("none").c_str()), 0);
  clock_.Advance(Seconds(60));
  server.Tick();
  ASSERT_TRUE(Listen(server, [&] { return server.ready(); }));
  server.Kill();
  Reap(server);
}

TEST_F(CacheServerTest, OneThatEndsByItselfIsNotStartedInARush) {
  state_.Write("broken", "#!/bin/sh\necho '*** FATAL CONFIG FILE ERROR ***'\nexit 1\n");
  ASSERT_EQ(::chmod(state_.At("broken").c_str(), 0755), 0);
  CacheServerOptions options = Options();
  options.program = state_.At("broken");
  CacheServer server(options, groups_, clock_);
  server.Start();
  Micros waited{0};
  for (int i = 0; i < 9; ++i) {
    ASSERT_NE(server.pid(), 0);
    Reap(server);
    ASSERT_TRUE(server.NextTick().has_value());
    waited = server.NextTick().value_or(clock_.Now()) - clock_.Now();
    clock_.Advance(waited + Millis(1));
    server.Tick();
  }
  EXPECT_EQ(waited, Seconds(30)) << "twice as long each time";
  server.Kill();
  Reap(server);
}

TEST_F(CacheServerTest, ItsDirectoryIsMadeAnewAndPrivate) {
  state_.Write("cache/redis.sock", "left over");
  const Result<UniqueFd> again = MakeCacheDirectory(state_.path(), ::geteuid(), ::geteuid());
  ASSERT_TRUE(again.ok()) << again.error().message;
  struct stat status = {};
  ASSERT_EQ(::fstat(again.value().get(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  EXPECT_NE(::access(state_.At("cache/redis.sock").c_str(), F_OK), 0);
  state_.Write("cache/somebody's", "file");
  EXPECT_FALSE(MakeCacheDirectory(state_.path(), ::geteuid(), ::geteuid()).ok());
  if (::geteuid() != 0)
    return;
  state_.Write("other/x", "");
  ASSERT_EQ(::unlink(state_.At("cache/somebody's").c_str()), 0);
  const Result<UniqueFd> separate = MakeCacheDirectory(state_.path(), 1900000002, 1900000000);
  ASSERT_TRUE(separate.ok());
  ASSERT_EQ(::fstat(separate.value().get(), &status), 0);
  EXPECT_EQ(status.st_uid, 1900000002U);
  EXPECT_EQ(status.st_gid, 1900000000U);
  EXPECT_EQ(status.st_mode & 0777U, 0710U);
}

TEST(CacheServerLineTest, WarningsAreTold) {
  const CacheServerWord warning =
      ParseCacheServerLine("123:M 27 Nov 2026 15:15:48.908 # Out of memory");
  EXPECT_EQ(warning.level, LogLevel::kWarning);
  EXPECT_EQ(warning.text, "Out of memory");
  const CacheServerWord notice =
      ParseCacheServerLine("123:M 27 Nov 2026 15:15:48.908 * Ready to accept connections");
  EXPECT_EQ(notice.level, LogLevel::kDebug);
  EXPECT_EQ(notice.text, "Ready to accept connections");
  const CacheServerWord fatal = ParseCacheServerLine("*** FATAL CONFIG FILE ERROR ***");
  EXPECT_EQ(fatal.level, LogLevel::kWarning);
  EXPECT_EQ(fatal.text, "*** FATAL CONFIG FILE ERROR ***");
  EXPECT_EQ(
      ParseCacheServerLine("1:M 1 Jan 2026 00:00:00 # WARNING overcommit_memory is off").level,
      LogLevel::kDebug);
  for (const char* line : {"", " ", "a b c d e", "a b c d e ", "     ", "a b c d e #"})
    (void)ParseCacheServerLine(line);
}

}  // namespace
}  // namespace cloister
