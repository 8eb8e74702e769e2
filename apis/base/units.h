#pragma once

// Sizes and times with their unit in the type: no bare integers for either.

#include <chrono>
#include <compare>
#include <cstdint>

namespace cloister {

using Micros = std::chrono::microseconds;
using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;

// A number of bytes.
struct Bytes {
  std::uint64_t count = 0;

  auto operator<=>(const Bytes&) const = default;
};

constexpr Bytes KiB(std::uint64_t n) {
  return Bytes{n << 10};
}
constexpr Bytes MiB(std::uint64_t n) {
  return Bytes{n << 20};
}
constexpr Bytes GiB(std::uint64_t n) {
  return Bytes{n << 30};
}

}  // namespace cloister
