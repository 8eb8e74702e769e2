#pragma once

// How large the answers may be that reads under way ask the server for.
//
// A server keeps an answer until it is read, in the memory that is there for entries. So a read
// begins only while what all of them may bring is within bounds, of its app and of the node; else
// it waits for its app's turn. What a value may bring is known of each one that was written or read
// here and is larger than most: CacheSizes. Runs on the loop thread.

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>

#include "apis/base/units.h"
#include "apis/calls.h"

namespace cloister {

// How much a value has at most, as a power of two.
using CachePower = unsigned;
// What most values are within.
inline constexpr CachePower kCacheSmall = 12;
// Any value, as far as is known.
inline constexpr CachePower kCacheAny = 31;

constexpr std::uint64_t CachePowerBytes(CachePower power) {
  return power > 20 ? kCallMax : std::uint64_t{1} << power;
}

// One command that reads.
struct CacheRead {
  CachePower power = 0;  // of its answer; 0: it is none
  bool begins = false;   // asks for the first bytes only: whether the value has more is not known
};

// What is known of the sizes of one app's values. Never too little for one that was noted: keys
// share places, and a place tells of its largest.
class CacheSizes {
 public:
  void Note(std::string_view key, std::size_t size);
  CachePower Of(std::string_view key) const;
  void Forget() { places_.reset(); }

 private:
  static constexpr std::size_t kPlaces = 4096;
  using Places = std::array<std::uint8_t, kPlaces>;

  std::unique_ptr<Places> places_;  // none: nothing large was noted
};

class CacheReads {
 public:
  static constexpr Bytes kAppMax = MiB(4);
  // Well below what a server closes a connection for, and a small part of its memory.
  static constexpr Bytes kNodeMax = MiB(32);

  // One app's. It must stay where it is while it waits.
  struct App {
    struct Waiting {
      std::uint64_t serial = 0;
      std::uint64_t bytes = 0;
    };
    std::uint64_t bytes = 0;
    std::unique_ptr<std::deque<Waiting>> waiting;
  };

  // Whether so much more may be asked for; then it counts. `its_turn`: the call comes from Next.
  bool Begin(App& app, std::uint64_t bytes, bool its_turn);
  void End(App& app, std::uint64_t bytes);

  // The call has nothing under way that would go on with it.
  void Wait(App& app, std::uint64_t serial, std::uint64_t bytes);
  // Whose turn it is: one app after the other. It may begin now.
  std::optional<std::uint64_t> Next();

  std::uint64_t bytes() const { return bytes_; }

 private:
  bool Fits(const App& app, std::uint64_t bytes) const;

  std::uint64_t bytes_ = 0;
  std::deque<App*> apps_;  // that wait
  bool full_ = false;      // the first of them waits for the node's bytes: nobody goes before it
};

}  // namespace cloister
