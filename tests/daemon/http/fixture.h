#pragma once

// A server on a loop in the test's own thread, and blocking clients in another: the test's story is
// told by the client, straight down.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/http/server.h"
#include "daemon/http/text.h"

namespace cloister {

struct ReceivedResponse {
  int status = 0;                              // 0: the connection ended before a head was there
  std::map<std::string, std::string> headers;  // names in lower case
  std::string head;
  std::string body;
  bool whole = false;  // the body ended as its framing says
};

// A client that may break every rule. Gives up after ten seconds of silence.
class TestClient {
 public:
  explicit TestClient(UniqueFd fd) : fd_(std::move(fd)) {
    const timeval patience = {.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }

  int fd() const { return fd_.get(); }
  void Close() { fd_.Reset(); }
  void ShutdownWrite() { ::shutdown(fd_.get(), SHUT_WR); }

  // False: the server closed.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
  }

  // One response; `method` decides whether a body is expected.
  ReceivedResponse Receive(std::string_view method = "GET") {
    ReceivedResponse response;
    std::size_t end = std::string::npos;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos)
      if (!Fill())
        return response;
    response.head = in_.substr(0, end + 4);
    in_.erase(0, end + 4);
    ParseHead(response);
    if (response.status >= 200 && response.status != 204 && response.status != 304 &&
        method != "HEAD")
      ReceiveBody(response);
    else
      response.whole = true;
    return response;
  }

  // Whether the server ended the connection and sent nothing more.
  bool AtEnd() { return in_.empty() && !Fill() && ended_; }
  // Whether the end was an error (a reset).
  bool reset() const { return reset_; }

  // All up to the end.
  std::string ReceiveAll() {
    while (Fill()) {
    }
    return std::exchange(in_, {});
  }

 private:
  bool Fill() {
    std::array<char, 65536> buffer = {};
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EAGAIN)
      ADD_FAILURE() << "neither a byte nor an end for ten seconds; here already: " << in_;
    ended_ = size == 0 || (size < 0 && errno == ECONNRESET);
    reset_ = reset_ || (size < 0 && errno == ECONNRESET);
    if (size > 0)
      in_.append(buffer.data(), static_cast<std::size_t>(size));
    return size > 0;
  }

  static void ParseHead(ReceivedResponse& response) {
    response.status = std::stoi(response.head.substr(9, 3));
    std::size_t at = response.head.find("\r\n") + 2;
    while (at + 2 < response.head.size()) {
      const std::size_t colon = response.head.find(": ", at);
      const std::size_t end = response.head.find("\r\n", at);
      std::string name = response.head.substr(at, colon - at);
      for (char& c : name)
        c = ToLower(c);
      EXPECT_FALSE(response.headers.contains(name)) << name;
      response.headers[name] = response.head.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
  }

  void ReceiveBody(ReceivedResponse& response) {
    if (response.headers.contains("transfer-encoding")) {
      response.whole = ReceiveChunks(response.body);
    } else if (response.headers.contains("content-length")) {
      const std::size_t size = std::stoul(response.headers["content-length"]);
      response.whole = Need(size);
      response.body = in_.substr(0, size);
      in_.erase(0, size);
    } else {
      response.body = ReceiveAll();
      response.whole = !reset_;
    }
  }

  bool Need(std::size_t size) {
    while (in_.size() < size)
      if (!Fill())
        return false;
    return true;
  }

  bool ReceiveChunks(std::string& body) {
    while (true) {
      std::size_t end = std::string::npos;
      while ((end = in_.find("\r\n")) == std::string::npos)
        if (!Fill())
          return false;
      const std::size_t size = std::stoul(in_.substr(0, end), nullptr, 16);
      if (!Need(end + 2 + size + 2))
        return false;
      body += in_.substr(end + 2, size);
      EXPECT_EQ("\r\n", in_.substr(end + 2 + size, 2));
      in_.erase(0, end + 2 + size + 2);
      if (size == 0)
        return true;
    }
  }

  UniqueFd fd_;
  std::string in_;
  bool ended_ = false;
  bool reset_ = false;
};

inline std::string GetOf(std::string_view target, std::string_view headers = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n";
}

// Answers by path; requests for /hold wait until the test answers them.
class TestHandler : public HttpHandler, public ExchangeListener {
 public:
  void Handle(Exchange& exchange) override {
    seen.emplace_back(exchange.request().target);
    const auto route = routes.find(std::string(exchange.request().path()));
    if (route != routes.end()) {
      route->second(exchange);
    } else if (exchange.request().path() == "/hold") {
      exchange.SetListener(this);
      held.push_back(&exchange);
      if (on_held)
        on_held();
    } else {
      exchange.Respond(200, {{.name = "Content-Type", .value = "text/plain"}},
                       "hello " + std::string(exchange.request().target));
    }
  }
  Admission Admit(const HttpRequest& head) const override {
    const auto account = accounts.find(std::string(head.host));
    return {.body_max = body_max, .account = account == accounts.end() ? 0 : account->second};
  }
  void OnClientGone() override {
    ++clients_gone;
    held.clear();
    if (on_gone)
      on_gone();
  }
  void OnWritable() override {
    ++writable;
    if (on_writable)
      on_writable();
  }

  std::map<std::string, std::function<void(Exchange&)>> routes;
  std::vector<std::string> seen;
  std::deque<Exchange*> held;
  int clients_gone = 0;
  int writable = 0;
  std::function<void()> on_held;
  std::function<void()> on_gone;
  std::function<void()> on_writable;
  Bytes body_max = kDefaultBodyMax;
  std::map<std::string, std::uint64_t> accounts;  // by host
};

class CollectedAccessLog : public AccessLog {
 public:
  void Write(const AccessRecord& record) override {
    lines.emplace_back();
    AppendAccessLine(record, lines.back());
  }
  std::vector<std::string> lines;
};

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() { settings.spool_dir = testing::TempDir(); }

  HttpServer& Server() {
    if (server == nullptr)
      server = std::make_unique<HttpServer>(loop, clock, settings, handler, &access_log);
    return *server;
  }

  // A client on one end of a socket pair, the server on the other.
  TestClient Connect() {
    std::array<int, 2> ends = {-1, -1};
    EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()));
    Adopt(UniqueFd(ends[0]));
    return TestClient(UniqueFd(ends[1]));
  }
  void Adopt(UniqueFd fd) {
    ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    OnLoop([this, &fd] { Server().Adopt({.fd = std::move(fd), .read_ahead = {}}); });
  }

  // Runs the loop while `client` does its work in a thread of its own.
  void Run(const std::function<void()>& client) {
    Server();
    // Before the client begins: what it did on its own thread would wake nobody.
    in_client = true;
    std::thread thread([&] {
      client();
      loop.Post([this] { loop.Stop(); });
    });
    loop.Run();
    in_client = false;
    thread.join();
  }

  // Runs `task` on the loop's thread and waits for it.
  void OnLoop(const std::function<void()>& task) {
    if (!in_client) {
      task();
      return;
    }
    std::promise<void> done;
    loop.Post([&] {
      task();
      done.set_value();
    });
    done.get_future().get();
  }

  // Waits until `condition`, asked on the loop's thread, holds.
  bool Eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 5000; ++i) {
      bool held = false;
      OnLoop([&] { held = condition(); });
      if (held)
        return true;
      std::this_thread::sleep_for(Millis(2));
    }
    return false;
  }

  Loop loop;
  SystemClock clock;
  ServerSettings settings;
  TestHandler handler;
  CollectedAccessLog access_log;
  std::unique_ptr<HttpServer> server;
  std::atomic<bool> in_client = false;
};

}  // namespace cloister
