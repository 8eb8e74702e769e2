#pragma once

// The fake node's side of one worker: hands over, waits until it is ready, asks it one thing.

#include <cstdint>
#include <string>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/channel.h"

namespace cloister {

struct FakeBlank {
  std::uint64_t id = 0;
  std::uint32_t pid = 0;
  UniqueFd control;
};

class FakeWorker {
 public:
  // The blank must have been placed. Blocks until the worker says that it is ready.
  static Result<FakeWorker> HandOverTo(FakeBlank blank);

  // Blocks until the answer is there; its body. An Error when the worker died.
  Result<std::string> Ask();

  std::uint64_t id() const { return id_; }
  std::uint32_t pid() const { return pid_; }

 private:
  FakeWorker() = default;

  std::uint64_t id_ = 0;
  std::uint32_t pid_ = 0;
  UniqueFd channel_;
  InboxPage* inbox_ = nullptr;  // mapped for the life of the process: a test's node is short-lived
  std::uint32_t next_request_ = 1;
};

}  // namespace cloister
