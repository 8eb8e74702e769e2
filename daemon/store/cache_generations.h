#pragma once

// The key generations of apps' caches, in state.db.

#include <cstdint>
#include <functional>

#include "apis/backends/sqlite.h"
#include "apis/cache/generations.h"
#include "daemon/store/state.h"

namespace cloister {

Result<CacheGeneration> ReadCacheGeneration(Database& db, AppId app);
// Never lowers it. Of an app that is gone nothing is kept.
Result<void> RaiseCacheGeneration(Database& db, AppId app, std::uint64_t number);

class StoredCacheGenerations : public CacheGenerations {
 public:
  explicit StoredCacheGenerations(State& state) : state_(state) {}

  void Load(AppId app, std::function<void(Result<CacheGeneration>)> done) override;
  void Store(AppId app, std::uint64_t number, std::function<void(Result<void>)> done) override;

 private:
  State& state_;
};

}  // namespace cloister
