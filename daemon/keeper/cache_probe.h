#pragma once

// Whether the node's own cache server still answers: asks it on its socket, once a second.
//
// Any byte is an answer; none is understood. One question is under way at a time, and a server that
// leaves it unanswered for kHangsAfter hangs. Whether it can be asked at all tells nothing. Never
// blocks.

#include <optional>

#include "apis/base/clock.h"
#include "apis/base/unique_fd.h"
#include "apis/base/units.h"

namespace cloister {

class CacheProbe {
 public:
  static constexpr Millis kPeriod{1000};
  static constexpr Millis kHangsAfter{5000};

  // The server accepts connections on its socket in that directory, which stays open.
  void Begin(int directory_fd, MonotonicTime now);
  void End();

  // When to look next.
  std::optional<MonotonicTime> NextLook() const { return next_; }
  // Looks for an answer, and asks anew. True: it hangs.
  bool Look(MonotonicTime now);

 private:
  void TakeAnswer();
  void Ask(MonotonicTime now);

  int directory_fd_ = -1;
  UniqueFd socket_;
  std::optional<MonotonicTime> next_;
  std::optional<MonotonicTime> asked_;  // and not answered
  bool is_late_ = false;                // as of the last look
};

}  // namespace cloister
