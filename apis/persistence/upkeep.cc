// What PersistenceService does for administrators: use and verification.

#include <utility>

#include "apis/persistence/service.h"

namespace cloister {
namespace {

// What a verification reads before it lets others have its thread.
constexpr std::uint64_t kVerifySlice = std::uint64_t{64} << 20;

}  // namespace

void PersistenceService::Use(AppId app, std::function<void(Result<ObjectUse>)> done) {
  Run(app,
      [this, app, done = std::move(done), directory = DirectoryOf(app)]() -> std::function<void()> {
        const auto read = [&]() -> Result<ObjectTotals> {
          if (!ObjectStore::Exists(directory))
            return ObjectTotals{};
          const auto store = TRY(ObjectStore::Open(directory, ObjectStore::Use::kRead));
          return store->Totals();
        };
        const auto totals = std::make_shared<Result<ObjectTotals>>(read());
        return [this, app, done, totals] {
          if (!totals->ok())
            return done(std::move(*totals).error());
          ObjectUse use{.totals = totals->value()};
          const auto found = apps_.find(app);
          if (found != apps_.end() && found->second.writes)
            use.writes =
                static_cast<std::uint64_t>(found->second.writes->UsedAt(parts_.clock.Now()));
          done(use);
        };
      });
}

void PersistenceService::Verify(AppId app, std::function<void(Result<ObjectVerification>)> done) {
  struct Walk {
    std::unique_ptr<ObjectStore> store;
    std::optional<Sha256> last;
    ObjectVerification report;
  };
  // Each slice takes the walk along to the next.
  const auto step = std::make_shared<std::function<void(std::shared_ptr<Walk>)>>();
  const std::weak_ptr<std::function<void(std::shared_ptr<Walk>)>> weak = step;
  *step = [this, app, done = std::move(done), weak,
           directory = DirectoryOf(app)](std::shared_ptr<Walk> walk) {
    const auto again = weak.lock();
    Run(app, [walk = std::move(walk), done, again, directory]() mutable -> std::function<void()> {
      // Whether there is more.
      const auto slice = [&]() -> Result<bool> {
        if (walk->store == nullptr) {
          if (!ObjectStore::Exists(directory))
            return false;
          walk->store = TRY(ObjectStore::Open(directory, ObjectStore::Use::kRead));
          TRY(walk->store->VerifyTotals(walk->report));
        }
        walk->last = TRY(walk->store->Verify(walk->last, kVerifySlice, walk->report));
        return walk->last.has_value();
      };
      const auto more = std::make_shared<Result<bool>>(slice());
      if (!more->ok() || !more->value())
        walk->store.reset();
      return [walk, done, again, more] {
        if (!more->ok())
          done(std::move(*more).error());
        else if (more->value())
          (*again)(walk);
        else
          done(std::move(walk->report));
      };
    });
  };
  (*step)(std::make_shared<Walk>());
}

}  // namespace cloister
