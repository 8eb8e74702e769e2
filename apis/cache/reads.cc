#include "apis/cache/reads.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "apis/base/check.h"

namespace cloister {

void CacheSizes::Note(std::string_view key, std::size_t size) {
  if (size <= CachePowerBytes(kCacheSmall))
    return;
  if (places_ == nullptr)
    places_ = std::make_unique<Places>();
  std::uint8_t& place = (*places_)[std::hash<std::string_view>{}(key) % kPlaces];
  place = std::max(place, static_cast<std::uint8_t>(std::bit_width(size - 1)));
}

CachePower CacheSizes::Of(std::string_view key) const {
  if (places_ == nullptr)
    return kCacheSmall;
  const CachePower noted = (*places_)[std::hash<std::string_view>{}(key) % kPlaces];
  return std::clamp(noted, kCacheSmall, kCacheAny);
}

bool CacheReads::Fits(const App& app, std::uint64_t bytes) const {
  return app.bytes + bytes <= kAppMax.count && bytes_ + bytes <= kNodeMax.count;
}

bool CacheReads::Begin(App& app, std::uint64_t bytes, bool its_turn) {
  if ((!its_turn && (full_ || app.waiting != nullptr)) || !Fits(app, bytes))
    return false;
  app.bytes += bytes;
  bytes_ += bytes;
  return true;
}

void CacheReads::End(App& app, std::uint64_t bytes) {
  CHECK(app.bytes >= bytes && bytes_ >= bytes);
  app.bytes -= bytes;
  bytes_ -= bytes;
}

void CacheReads::Wait(App& app, std::uint64_t serial, std::uint64_t bytes) {
  if (app.waiting == nullptr) {
    app.waiting = std::make_unique<std::deque<App::Waiting>>();
    apps_.push_back(&app);
  }
  app.waiting->push_back({.serial = serial, .bytes = bytes});
}

std::optional<std::uint64_t> CacheReads::Next() {
  full_ = false;
  for (auto turn = apps_.begin(); turn != apps_.end(); ++turn) {
    App& app = **turn;
    const App::Waiting first = app.waiting->front();
    if (app.bytes + first.bytes > kAppMax.count)
      continue;
    if (bytes_ + first.bytes > kNodeMax.count) {
      full_ = true;
      return std::nullopt;
    }
    app.waiting->pop_front();
    apps_.erase(turn);
    if (app.waiting->empty())
      app.waiting.reset();
    else
      apps_.push_back(&app);
    return first.serial;
  }
  return std::nullopt;
}

}  // namespace cloister
