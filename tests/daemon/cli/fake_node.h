#pragma once

// A node's admin socket whose answers a test writes, in a folder of its own.
//
// Serves one connection at a time on a thread, reading whole requests. Destroying it ends the
// thread. FakeFolder makes a temporary folder with files and removes it.

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "apis/base/unique_fd.h"

namespace cloister {

class FakeFolder {
 public:
  FakeFolder();
  FakeFolder(const FakeFolder&) = delete;
  FakeFolder& operator=(const FakeFolder&) = delete;
  ~FakeFolder();

  const std::string& path() const { return path_; }
  void Write(const std::string& name, std::string_view text) const;

 private:
  std::string path_;
};

struct FakeRequest {
  std::string method;
  std::string target;
  std::string body;
};

class FakeNode {
 public:
  // The bytes of the answer; empty: the connection is closed without one.
  using Handler = std::function<std::string(const FakeRequest&)>;

  explicit FakeNode(Handler handler);
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;
  ~FakeNode();

  std::string socket_path() const { return folder_.path() + "/admin.sock"; }
  // "METHOD target" of each request so far.
  std::vector<std::string> Seen();

  static std::string Json(int status, std::string_view body);
  static std::string Problem(int status, std::string_view code, std::string_view detail);

 private:
  void Serve();
  void ServeConnection(int connection);
  // False when the connection ended, or the fake is being destroyed.
  bool ReadRequest(int connection, std::string& bytes, FakeRequest& request);
  bool Wait(int fd);

  FakeFolder folder_;
  Handler handler_;
  UniqueFd listener_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;
  std::mutex mutex_;
  std::vector<std::string> seen_;
  std::thread thread_;
};

}  // namespace cloister
