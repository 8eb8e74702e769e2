#pragma once

// Whose client has gone: the second half of the page that holds a worker's inbox.
//
// For each slot the id of a request whose answer nobody waits for any more. The node writes, the
// worker looks before it sends a block: it has no other way to hear of it while it computes. The
// worker can write here as well, which only it would believe: the node never reads it.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "apis/wire/channel.h"

namespace cloister {

struct InboxGone {
  std::array<std::atomic<std::uint32_t>, kInboxSlots> ids;

  void Mark(std::size_t slot, std::uint32_t id) { ids[slot].store(id, std::memory_order_release); }
  bool IsMarked(std::size_t slot, std::uint32_t id) const {
    return ids[slot].load(std::memory_order_acquire) == id;
  }
};

inline constexpr std::size_t kInboxGoneOffset = kInboxPageSize / 2;
static_assert(sizeof(InboxPage) <= kInboxGoneOffset);
static_assert(kInboxGoneOffset + sizeof(InboxGone) <= kInboxPageSize);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

// `page` is a whole page of kInboxPageSize, mapped and made of zeros at first.
inline InboxGone& GoneOf(InboxPage& page) {
  return *reinterpret_cast<InboxGone*>(reinterpret_cast<char*>(&page) + kInboxGoneOffset);
}

}  // namespace cloister
