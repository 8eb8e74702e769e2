#pragma once

// The near cache: what gets have just found, kept in the node's memory for a second at most, so
// that a key that is read all the time is answered without Redis.
//
// It is right only while every write of an app goes through this process; CacheService has it on
// then alone. A key is dropped when a write of it is sent, and what a get found is kept only if no
// write of that app was sent since the get was: so nothing here is older than what the app knows
// of. Only an app's second get of a key within a second is worth keeping: keys that are read once
// cost nothing. Each app has room of its own, and none pushes out what another has: where there is
// no room, nothing is kept. No I/O; the caller tells the time. Runs on the loop thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "apis/base/clock.h"
#include "apis/base/names.h"
#include "apis/base/units.h"

namespace cloister {

class CacheNear {
 public:
  struct Limits {
    Bytes app_max = MiB(1);
    Bytes node_max = MiB(64);
    Bytes value_max = KiB(16);
  };
  // `ttl`: what was left of its time when that was asked for, or later; none: no end.
  struct Found {
    std::string_view value;
    std::optional<Millis> ttl;
  };
  // Of a get that is sent: what it takes to keep its answer.
  struct Ticket {
    std::uint64_t stamp = 0;
    MonotonicTime asked;
  };

  // Redis counts what is unused in seconds: a key that is read from here is asked for there as
  // often.
  static constexpr Millis kAgeMax{1000};

  CacheNear() : CacheNear(Limits()) {}
  explicit CacheNear(Limits limits) : limits_(limits) {}
  CacheNear(const CacheNear&) = delete;
  CacheNear& operator=(const CacheNear&) = delete;
  ~CacheNear() = default;

  // Off: as at first. Forgets everything and keeps nothing.
  void Turn(bool on);
  bool on() const { return on_; }

  // The view ends with the next call.
  std::optional<std::string_view> Find(AppId id, std::string_view key, MonotonicTime now);
  // A get is sent now. None: its answer is not for here.
  std::optional<Ticket> OnGet(AppId id, std::string_view key, MonotonicTime now);
  // Its answer.
  void Keep(AppId id, std::string_view key, const Found& found, const Ticket& ticket,
            MonotonicTime now);

  // A write of that key is sent.
  void Drop(AppId id, std::string_view key);
  // Nothing that was asked for before is kept any more.
  void DropApp(AppId id);
  void DropAll();
  // Gives back the memory of what is too old to be found.
  void Expire(MonotonicTime now);

  // Of all that is held, what it takes to hold it included.
  Bytes used() const { return used_; }

 private:
  struct Entry {
    AppId app;
    std::string key;
    std::string value;
    MonotonicTime asked;
    MonotonicTime ends;

    std::size_t Charge() const;
  };
  using Entries = std::list<Entry>;

  // When a key was asked for last: by a part of its hash, in its place by the rest.
  struct Seen {
    std::uint32_t mark = 0;
    std::uint32_t at_ms = 0;
  };
  static constexpr std::size_t kSeenMax = 1024;
  using SeenTable = std::array<Seen, kSeenMax>;

  struct App {
    std::uint64_t stamp = 0;  // another one with each write
    std::unordered_map<std::string_view, Entries::iterator> keys;
    std::unique_ptr<SeenTable> seen;
    MonotonicTime asked;  // last
    Bytes used;
  };

  static std::size_t AppCharge();
  App* FindApp(AppId id);
  App* MakeApp(AppId id);
  static bool WasSeen(App& app, std::string_view key, MonotonicTime now);
  void Remove(App& app, Entries::iterator entry);
  void ExpireEntries(MonotonicTime now);

  Limits limits_;
  bool on_ = false;
  std::uint64_t last_stamp_ = 0;
  std::unordered_map<AppId, App> apps_;
  Entries entries_;  // as they were asked for
  Bytes used_;
};

}  // namespace cloister
