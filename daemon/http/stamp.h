#pragma once

// What every response is stamped with: the time and an id of its own. Both are made of what was
// computed once a second or once a millisecond, so that a request pays a few nanoseconds.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "apis/base/clock.h"

namespace cloister {

inline constexpr std::size_t kRequestIdSize = 26;
using RequestIdText = std::array<char, kRequestIdSize>;

// Ids of 26 characters (Crockford's base 32): 48 bits of milliseconds since 1970, then 80 bits that
// begin at a random place in every millisecond and count up within it. Sorted as text they are
// sorted by time; two nodes collide with a probability of about 2^-79 a pair.
class RequestIds {
 public:
  RequestIds();
  void Make(WallTime now, RequestIdText& out);

 private:
  std::uint64_t NextRandom();

  std::uint64_t random_state_ = 0;
  std::int64_t millis_ = -1;
  std::uint64_t low_ = 0;  // 60 of the 80 bits, counting
  RequestIdText current_ = {};
};

// "Date: Sat, 21 Nov 2026 10:00:00 GMT\r\n".
class DateHeader {
 public:
  std::string_view At(WallTime now);

 private:
  std::int64_t second_ = -1;
  std::array<char, 40> text_ = {};
  std::size_t size_ = 0;
};

}  // namespace cloister
