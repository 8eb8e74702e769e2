#pragma once

// The node's side of one worker's inbox page (apis/wire/channel.h).
//
// The page is a memory file, sealed against growing and shrinking, that both map. The worker can
// write anything into it: the node compares with words that it offered itself and nothing more.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/channel.h"

namespace cloister {

class Inbox {
 public:
  static Result<Inbox> Create();
  // No page: every offer would be a bug.
  Inbox() = default;
  Inbox(Inbox&& other) noexcept;
  Inbox& operator=(Inbox&& other) noexcept;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  ~Inbox();

  // To hand over; TakeFd() when that is done, the mapping stays.
  int fd() const { return fd_.get(); }
  UniqueFd TakeFd() { return std::move(fd_); }

  void Offer(std::size_t slot, std::uint32_t id) { page_->Offer(slot, id); }
  // True when the worker has not claimed it and cannot any more.
  bool Withdraw(std::size_t slot, std::uint32_t id) { return page_->Withdraw(slot, id); }
  // Tells the worker that nobody waits for that request's answer any more.
  void MarkGone(std::size_t slot, std::uint32_t id);
  bool IsOffered(std::size_t slot, std::uint32_t id) const;
  bool IsClaimed(std::size_t slot, std::uint32_t id) const;

 private:
  void Unmap();

  UniqueFd fd_;
  InboxPage* page_ = nullptr;
};

}  // namespace cloister
