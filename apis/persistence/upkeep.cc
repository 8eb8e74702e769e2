// What PersistenceService does for administrators: use and verification.

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "apis/persistence/service.h"

namespace cloister {
namespace {

// What a verification reads before it lets others have its thread.
constexpr std::uint64_t kVerifySlice = std::uint64_t{64} << 20;

Result<void> FillKept(PersistenceService::KeepWish& wish, ObjectWriter& writer) {
  TRY(wish.fill(writer));
  wish.fill = nullptr;
  return writer.Finish();
}

Result<ObjectTotals> ReadTotals(const std::string& directory) {
  if (!ObjectStore::Exists(directory))
    return ObjectTotals{};
  const auto store = TRY(ObjectStore::Open(directory, ObjectStore::Use::kRead));
  return store->Totals();
}

}  // namespace

void PersistenceService::Use(AppId app, std::function<void(Result<ObjectUse>)> done) {
  Run(app,
      [this, app, done = std::move(done), directory = DirectoryOf(app)]() -> std::function<void()> {
        const auto totals = std::make_shared<Result<ObjectTotals>>(ReadTotals(directory));
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

void PersistenceService::Do(AppId app, Access access,
                            std::function<Result<std::string>(Objects&)> work,
                            std::function<void(Result<std::string>)> done) {
  const auto out = std::make_shared<std::string>();
  Add(app, access == Access::kChange ? LaneKind::kWrite : LaneKind::kRead,
      {.work = [work = std::move(work), out](Objects& objects) -> Result<ObjectReply> {
         *out = TRY(work(objects));
         return ObjectReply{};
       },
       .done =
           [out, done = std::move(done)](const ObjectReply& reply) {
             if (reply.error)
               done(*reply.error);
             else
               done(std::move(*out));
           },
       .bytes = 0});
}

void PersistenceService::ReadPiece(const PieceWish& wish,
                                   std::function<void(Result<ObjectPiece>)> done) {
  if (deleted_.contains(wish.app))
    return Run(wish.app, [done = std::move(done)]() -> std::function<void()> {
      return [done] { done(Error{ErrorCode::kNotFound, "the app was deleted"}); };
    });
  const auto read = std::make_shared<ObjectPiece>();
  LookAt(std::make_shared<Look>(Look{
      .wish = wish,
      .overlay = FindOverlay(wish.overlay),
      .answer =
          [read](ObjectPiece piece) {
            *read = std::move(piece);
            return ObjectReply{};
          },
      .done =
          [this, wish, read, done = std::move(done)](const ObjectReply& reply) {
            if (reply.error)
              return done(*reply.error);
            if (read->state == ObjectPiece::State::kDamaged)
              NoteDamage(wish.app, "the object " + wish.id.Hex() + " is damaged: " + read->damage);
            done(std::move(*read));
          }}));
}

void PersistenceService::Keep(AppId app, KeepWish wish,
                              std::function<void(Result<ObjectKept>)> done) {
  auto writer = std::make_shared<ObjectWriter>(DirectoryOf(app), GoalOfLarge());
  Run(app,
      [this, app, wish = std::move(wish), done = std::move(done),
       writer]() mutable -> std::function<void()> {
        const Result<void> filled = FillKept(wish, *writer);
        if (filled.ok())
          return [this, app, wish, done, writer = std::move(writer)] {
            SendKept(app, wish, writer, done);
          };
        writer.reset();
        return [done, error = filled.error()] { done(error); };
      });
}

void PersistenceService::SendKept(AppId app, const KeepWish& wish,
                                  const std::shared_ptr<ObjectWriter>& writer,
                                  const std::function<void(Result<ObjectKept>)>& done) {
  if (!writer->in_file() || writer->goal() == ObjectWriter::Goal::kFile)
    return StoreKept(app, wish, writer, done);
  Send(app, writer, wish.quota,
       [this, app, wish, done](Result<UploadPlan> sent, std::shared_ptr<ObjectWriter> there) {
         if (!sent.ok())
           return done(std::move(sent).error());
         if (there != nullptr)
           return StoreKept(app, wish, std::move(there), done);
         done(ObjectKept{.id = sent.value().id, .refused = sent.value().refused});
       });
}

void PersistenceService::StoreKept(AppId app, const KeepWish& wish,
                                   std::shared_ptr<ObjectWriter> writer,
                                   std::function<void(Result<ObjectKept>)> done) {
  auto kept = std::make_shared<ObjectKept>();
  Do(
      app, Access::kChange,
      [wish, writer = std::move(writer), kept,
       now = NowMs()](Objects& objects) -> Result<std::string> {
        kept->id = writer->id();
        kept->size = writer->size();
        const bool is_new = !TRY(objects.Stat(kept->id));
        kept->refused = TRY(objects.Write(*writer, now, wish.quota));
        if (kept->refused || wish.name.empty())
          return std::string();
        kept->refused =
            TRY(objects.Put({.name = wish.name, .id = kept->id, .expected = {}}, wish.quota))
                .refused;
        if (kept->refused && is_new)
          TRY(objects.Delete(kept->id));
        return std::string();
      },
      [done = std::move(done), kept](const Result<std::string>& stored) {
        if (stored.ok())
          done(*kept);
        else
          done(stored.error());
      });
}

// One on its way: a slice has it after the other.
struct PersistenceService::Verification {
  AppId app;
  std::function<void(Result<ObjectVerification>)> done;
  std::string directory;
  ObjectStore::RemoteCheck check;
  std::unique_ptr<ObjectStore> store = nullptr;
  std::optional<Sha256> last = std::nullopt;
  ObjectVerification report = {};

  // Whether there is more.
  Result<bool> DoSlice() {
    if (store == nullptr) {
      if (!ObjectStore::Exists(directory))
        return false;
      store = TRY(ObjectStore::Open(directory, ObjectStore::Use::kRead));
      TRY(store->VerifyTotals(report));
    }
    last = TRY(store->Verify(last, kVerifySlice, report, check));
    return last.has_value();
  }
};

void PersistenceService::Verify(AppId app, std::function<void(Result<ObjectVerification>)> done) {
  VerifyOn(std::make_shared<Verification>(Verification{.app = app,
                                                       .done = std::move(done),
                                                       .directory = DirectoryOf(app),
                                                       .check = RemoteCheckOf(app)}));
}

void PersistenceService::VerifyOn(const std::shared_ptr<Verification>& walk) {
  RunRemote(walk->app, [this, walk]() -> std::function<void()> {
    const auto more = std::make_shared<Result<bool>>(walk->DoSlice());
    if (!more->ok() || !more->value())
      walk->store.reset();
    return [this, walk, more] {
      if (!more->ok())
        return walk->done(std::move(*more).error());
      if (more->value())
        return VerifyOn(walk);
      const bool sweeps =
          parts_.remote != nullptr && walk->report.objects > 0 && !deleted_.contains(walk->app);
      if (sweeps)
        apps_[walk->app].left = true;
      if (sweeps)
        Sweep(walk->app);
      walk->done(std::move(walk->report));
    };
  });
}

}  // namespace cloister
