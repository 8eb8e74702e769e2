#include "apis/cache/layout.h"

#include <algorithm>
#include <bit>

namespace cloister {
namespace {

// A hash table's entry of three pointers, and its share of the buckets while the table grows.
constexpr std::size_t kTableEntry = 32 + 24;
constexpr std::size_t kObject = 16;
// A charge, as text in the index.
constexpr std::size_t kChargeText = 32;
// A value up to this size lies in its object.
constexpr std::size_t kEmbeddedMax = 44;

// The size classes of Redis' allocator: by 16 bytes at first, then four for each power of two.
std::size_t AllocatedSize(std::size_t wanted) {
  if (wanted <= 128)
    return (std::max<std::size_t>(wanted, 1) + 15) / 16 * 16;
  const std::size_t step = std::bit_ceil(wanted) / 8;
  return (wanted + step - 1) / step * step;
}

// A string of Redis: a head, the bytes and a closing zero.
std::size_t StringSize(std::size_t size) {
  std::size_t head = 9;
  if (size < 32)
    head = 1;
  else if (size < 256)
    head = 3;
  else if (size < 65536)
    head = 5;
  return AllocatedSize(head + size + 1);
}

bool IsSpaceChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

}  // namespace

bool IsCacheSpace(std::string_view space) {
  return !space.empty() && space.size() <= 32 && std::ranges::all_of(space, IsSpaceChar);
}

CacheNames::CacheNames(std::string_view space, AppId app, std::uint64_t generation)
    : generations_("c:" + std::string(space) + ":" + std::to_string(app.number)),
      any_index_(generations_ + ":"),
      index_(any_index_ + std::to_string(generation)) {}

std::string CacheNames::Slot(std::string_view key) const {
  std::string slot;
  slot.reserve(index_.size() + 1 + key.size());
  ((slot += index_) += ':') += key;
  return slot;
}

Bytes CacheCharge(std::size_t slot_size, std::size_t key_size, std::size_t value_size) {
  const std::size_t value = value_size <= kEmbeddedMax ? AllocatedSize(kObject + 3 + value_size + 1)
                                                       : kObject + StringSize(value_size);
  // In the table of values, in that of the times when they end, and in the index.
  const std::size_t places = kTableEntry * 3;
  return Bytes{places + StringSize(slot_size) + value + StringSize(key_size) + kChargeText};
}

}  // namespace cloister
