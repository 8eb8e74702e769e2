#pragma once

// A server of objects in memory, that fails and waits as it is told.

#include <unistd.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apis/backends/object_server.h"

namespace cloister {

class FakeServer : public ObjectServer {
 public:
  Result<void> Put(const std::string& key, const Content& content) override {
    TRY(Enter());
    std::string bytes(content.size, '\0');
    if (::pread(content.file, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(content.size))
      return SystemError("reading");
    const std::lock_guard lock(mutex_);
    objects_[key] = bytes;
    if (lose_answers_)
      return Away();
    return {};
  }
  Result<std::string> Get(const std::string& key, std::uint64_t offset,
                          std::size_t count) override {
    TRY(Enter());
    const std::lock_guard lock(mutex_);
    ++gets_;
    const auto found = objects_.find(key);
    if (found == objects_.end())
      return Error{ErrorCode::kNotFound, "no such object"};
    if (offset + count > found->second.size())
      return Error{ErrorCode::kProtocol, "it is shorter on the server"};
    return found->second.substr(offset, count);
  }
  Result<void> Remove(const std::string& key, Unfinished /*unfinished*/) override {
    TRY(Enter());
    const std::lock_guard lock(mutex_);
    if (kept_ && key.find(*kept_) != std::string::npos)
      return Error{ErrorCode::kUnavailable, "it is not removed"};
    objects_.erase(key);
    return {};
  }
  void Cancel() override {
    {
      const std::lock_guard lock(mutex_);
      away_ = true;
      hangs_ = false;
    }
    changed_.notify_all();
  }
  Result<void> CheckAway() const override {
    const std::lock_guard lock(mutex_);
    if (known_)
      return Away();
    return {};
  }
  std::string trouble() const override { return {}; }

  void SetAway(bool away) {
    const std::lock_guard lock(mutex_);
    away_ = away;
  }
  // That it is away is known before anything is asked.
  void SetKnown(bool known) {
    const std::lock_guard lock(mutex_);
    known_ = known;
  }
  // What is put is there, but nobody is told.
  void SetLoseAnswers(bool lose) {
    const std::lock_guard lock(mutex_);
    lose_answers_ = lose;
  }
  // What has that in its key is not removed.
  void SetKept(std::optional<std::string> kept) {
    const std::lock_guard lock(mutex_);
    kept_ = std::move(kept);
  }
  void SetHangs(bool hangs) {
    {
      const std::lock_guard lock(mutex_);
      hangs_ = hangs;
    }
    changed_.notify_all();
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }
  std::size_t gets() {
    const std::lock_guard lock(mutex_);
    return gets_;
  }
  std::map<std::string, std::string> objects() {
    const std::lock_guard lock(mutex_);
    return objects_;
  }
  void Set(const std::string& key, const std::string& bytes) {
    const std::lock_guard lock(mutex_);
    objects_[key] = bytes;
  }
  void Erase(const std::string& key) {
    const std::lock_guard lock(mutex_);
    objects_.erase(key);
  }

 private:
  static Error Away() { return {ErrorCode::kUnavailable, "the server is away"}; }
  Result<void> Enter() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.wait(lock, [this] { return !hangs_; });
    --waiting_;
    if (away_)
      return Away();
    return {};
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> objects_;
  bool away_ = false;
  bool known_ = false;
  bool hangs_ = false;
  bool lose_answers_ = false;
  std::optional<std::string> kept_;
  std::size_t waiting_ = 0;
  std::size_t gets_ = 0;
};

}  // namespace cloister
