#pragma once

// A server that keeps objects by keys: S3 (s3.h).
//
// Blocking, thread-safe. Each call ends in bounded time. Errors: kNotFound, there is no object of
// that key; kProtocol, what is there is not what was asked for; else kUnavailable, with what the
// server said or why it cannot be reached: nothing is known to have changed.

#include <cstdint>
#include <string>

#include "apis/base/result.h"
#include "apis/base/sha256.h"

namespace cloister {

class ObjectServer {
 public:
  struct Content {
    int file = -1;  // read from its start, by pread
    std::uint64_t size = 0;
    Sha256 sha256;
  };
  // kMaybe: a Put of it may have been broken off in the middle.
  enum class Unfinished { kNo, kMaybe };

  ObjectServer() = default;
  ObjectServer(const ObjectServer&) = delete;
  ObjectServer& operator=(const ObjectServer&) = delete;
  virtual ~ObjectServer() = default;

  // Afterwards the server has all of it, and keeps it.
  virtual Result<void> Put(const std::string& key, const Content& content) = 0;
  // Exactly these `count` bytes (at least 1).
  virtual Result<std::string> Get(const std::string& key, std::uint64_t offset,
                                  std::size_t count) = 0;
  // What is not there is removed.
  virtual Result<void> Remove(const std::string& key, Unfinished unfinished) = 0;
  // Ends what runs, and fails what comes from now on.
  virtual void Cancel() = 0;
  // kUnavailable: whatever is asked now fails at once. Does not wait.
  virtual Result<void> CheckAway() const = 0;
  // Why the last call that failed did so; empty: none has since one succeeded. For people.
  virtual std::string trouble() const = 0;
};

}  // namespace cloister
