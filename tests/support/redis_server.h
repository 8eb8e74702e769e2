#pragma once

// A real redis-server of a test's own, on a unix socket in a directory of its own.

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "apis/base/check.h"
#include "apis/base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace cloister {

class RedisServer {
 public:
  // `more`: lines of its configuration.
  explicit RedisServer(std::string more = {}) : more_(std::move(more)) {
    (void)::signal(SIGPIPE, SIG_IGN);  // as in a node
    Start();
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer() { Kill(); }

  const std::string& socket() const { return socket_; }

  // Starts it; returns when it accepts connections.
  void Start() {
    directory_.Write("redis.conf",
                     "port 0\nunixsocket " + socket_ + "\nsave \"\"\nappendonly no\nlogfile " +
                         directory_.At("log") + "\ndir " + directory_.path() + "\n" + more_);
    const std::string config = directory_.At("redis.conf");
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execl("/usr/bin/redis-server", "redis-server", config.c_str(), nullptr);
      ::_exit(127);
    }
    while (!Accepts()) {
      CHECK(::waitpid(pid_, nullptr, WNOHANG) == 0);
      ::usleep(1000);
    }
  }
  void Kill() {
    if (pid_ <= 0)
      return;
    (void)::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
    (void)::unlink(socket_.c_str());
    pid_ = 0;
  }
  bool runs() const { return pid_ > 0; }
  void Stop() const { CHECK(::kill(pid_, SIGSTOP) == 0); }
  void Continue() const { CHECK(::kill(pid_, SIGCONT) == 0); }

  // What redis-cli prints for a command, without the last line's end.
  std::string Cli(const std::vector<std::string>& words) const {
    std::string command = "redis-cli -s " + socket_;
    for (const std::string& word : words)
      command += " '" + word + "'";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    CHECK(pipe != nullptr);
    std::string out;
    std::array<char, 4096> part{};
    while (const std::size_t got = std::fread(part.data(), 1, part.size(), pipe))
      out.append(part.data(), got);
    (void)::pclose(pipe);
    if (!out.empty() && out.back() == '\n')
      out.pop_back();
    return out;
  }

 private:
  bool Accepts() const {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    CHECK(socket_.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, socket_.c_str(), socket_.size());
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  TempDir directory_;
  std::string socket_ = directory_.At("redis.sock");
  std::string more_;
  pid_t pid_ = 0;
};

}  // namespace cloister
