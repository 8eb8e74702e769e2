#pragma once

// Which user ids of the workers' range are free.
//
// Owned by the zygotes' part of the keeper; pure. The keeper alone knows when a worker is gone, so
// it alone says which uid the next one may have: no two live workers ever share one (I10).

#include <cstdint>
#include <deque>
#include <optional>

namespace cloister {

class WorkerUids {
 public:
  WorkerUids(std::uint32_t base, std::uint32_t count) : next_(base), end_(base + count) {}

  // A uid that nobody has: one that nobody ever had as long as there are such, then the one that
  // has been free for longest. Empty when all are in use.
  std::optional<std::uint32_t> Take() {
    if (next_ != end_)
      return next_++;
    if (free_.empty())
      return std::nullopt;
    const std::uint32_t uid = free_.front();
    free_.pop_front();
    return uid;
  }
  // Whoever had it is gone.
  void Release(std::uint32_t uid) { free_.push_back(uid); }

 private:
  std::uint32_t next_;
  std::uint32_t end_;
  std::deque<std::uint32_t> free_;
};

}  // namespace cloister
