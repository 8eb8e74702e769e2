#include "tests/daemon/cli/fake_node.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "apis/base/check.h"

namespace cloister {

FakeFolder::FakeFolder() {
  std::string name = std::filesystem::temp_directory_path().string() + "/cloister-cli-XXXXXX";
  CHECK(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

FakeFolder::~FakeFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void FakeFolder::Write(const std::string& name, std::string_view text) const {
  const std::filesystem::path path = path_ + "/" + name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

FakeNode::FakeNode(Handler handler)
    : handler_(std::move(handler)), listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = socket_path();
  CHECK(path.size() < sizeof(address.sun_path));
  std::copy(path.begin(), path.end(), std::begin(address.sun_path));
  CHECK(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  CHECK(::listen(listener_.get(), 8) == 0);
  std::array<int, 2> ends{};
  CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0);
  stop_read_ = UniqueFd(ends[0]);
  stop_write_ = UniqueFd(ends[1]);
  thread_ = std::thread([this] { Serve(); });
}

FakeNode::~FakeNode() {
  stop_write_.Reset();
  thread_.join();
}

std::vector<std::string> FakeNode::Seen() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return seen_;
}

std::string FakeNode::Json(int status, std::string_view body) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

std::string FakeNode::Problem(int status, std::string_view code, std::string_view detail) {
  return Json(status, R"({"title":"A title","status":)" + std::to_string(status) + R"(,"code":")" +
                          std::string(code) + R"(","detail":")" + std::string(detail) + "\"}");
}

bool FakeNode::Wait(int fd) {
  std::array<pollfd, 2> waiting = {pollfd{fd, POLLIN, 0}, pollfd{stop_read_.get(), POLLIN, 0}};
  return ::poll(waiting.data(), waiting.size(), -1) > 0 && waiting[1].revents == 0;
}

void FakeNode::Serve() {
  while (Wait(listener_.get())) {
    const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection.valid())
      ServeConnection(connection.get());
  }
}

void FakeNode::ServeConnection(int connection) {
  std::string bytes;
  FakeRequest request;
  while (ReadRequest(connection, bytes, request)) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      seen_.push_back(request.method + " " + request.target);
    }
    const std::string answer = handler_(request);
    if (answer.empty())
      return;
    std::size_t sent = 0;
    while (sent < answer.size()) {
      const ssize_t wrote =
          ::send(connection, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
      if (wrote < 0)
        return;
      sent += static_cast<std::size_t>(wrote);
    }
  }
}

bool FakeNode::ReadRequest(int connection, std::string& bytes, FakeRequest& request) {
  std::size_t head = std::string::npos;
  std::size_t body = 0;
  for (;;) {
    head = bytes.find("\r\n\r\n");
    const std::size_t length = bytes.find("Content-Length: ");
    if (head != std::string::npos)
      body = length < head ? std::stoul(bytes.substr(length + 16)) : 0;
    if (head != std::string::npos && bytes.size() >= head + 4 + body)
      break;
    std::array<char, 65536> part{};
    if (!Wait(connection))
      return false;
    const ssize_t got = ::recv(connection, part.data(), part.size(), 0);
    if (got <= 0)
      return false;
    bytes.append(part.data(), static_cast<std::size_t>(got));
  }
  const std::size_t space = bytes.find(' ');
  request.method = bytes.substr(0, space);
  request.target = bytes.substr(space + 1, bytes.find(' ', space + 1) - space - 1);
  request.body = bytes.substr(head + 4, body);
  bytes.erase(0, head + 4 + body);
  return true;
}

}  // namespace cloister
