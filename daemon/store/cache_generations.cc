#include "daemon/store/cache_generations.h"

#include <string>
#include <utility>

namespace cloister {

Result<CacheGeneration> ReadCacheGeneration(Database& db, AppId app) {
  CacheGeneration found;
  Statement space = TRY(db.Query("SELECT name FROM cache_space"));
  if (!TRY(space.Step()))
    return Error{ErrorCode::kNotFound, "the state has no name for its cache"};
  found.space = std::string(space.Text(0));
  Statement number =
      TRY(db.Query("SELECT generation FROM cache_generations WHERE app_id = ?", app.number));
  if (TRY(number.Step()))
    found.number = number.UInt(0);
  return found;
}

Result<void> RaiseCacheGeneration(Database& db, AppId app, std::uint64_t number) {
  return db.Run(
      "INSERT INTO cache_generations (app_id, generation) SELECT id, ? FROM apps WHERE id = ? "
      "ON CONFLICT (app_id) DO UPDATE SET generation = max(generation, excluded.generation)",
      number, app.number);
}

void StoredCacheGenerations::Load(AppId app, std::function<void(Result<CacheGeneration>)> done) {
  state_.Read(
      app.number,
      [app](Database& db) -> Result<CacheGeneration> { return ReadCacheGeneration(db, app); },
      std::move(done));
}

void StoredCacheGenerations::Store(AppId app, std::uint64_t number,
                                   std::function<void(Result<void>)> done) {
  state_.Write(
      app.number,
      [app, number](Database& db) -> Result<void> { return RaiseCacheGeneration(db, app, number); },
      std::move(done));
}

}  // namespace cloister
