#pragma once

// How an app's entries are named and counted in Redis.
//
//   c:SPACE:APP:GENERATION:KEY   a value
//   c:SPACE:APP:GENERATION       the index of them (apis/cache/script.h)
//   c:SPACE:APP                  the generations that have an index
//
// SPACE is the state directory's, so that nodes may share a server; APP and GENERATION are numbers,
// so no key of an app can be taken for one of another's.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/names.h"
#include "apis/base/units.h"

namespace cloister {

// Whether `space` can be one: lower-case letters and digits.
bool IsCacheSpace(std::string_view space);

class CacheNames {
 public:
  CacheNames() = default;
  CacheNames(std::string_view space, AppId app, std::uint64_t generation);

  const std::string& generations() const { return generations_; }
  // What stands in front of every generation's number.
  const std::string& any_index() const { return any_index_; }
  const std::string& index() const { return index_; }
  std::string Slot(std::string_view key) const;

 private:
  std::string generations_;
  std::string any_index_;
  std::string index_;
};

// What an entry takes in Redis, its place in the index included: at least what the allocator gives
// away for it. `slot_size` is of the whole name.
Bytes CacheCharge(std::size_t slot_size, std::size_t key_size, std::size_t value_size);

}  // namespace cloister
