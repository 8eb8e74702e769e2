// What PersistenceService does with a server of objects, beside its lanes.

#include <utility>

#include "apis/base/log.h"
#include "apis/persistence/service.h"

namespace cloister {
namespace {

// Objects that a server removes before others have their turn.
constexpr std::size_t kSweepMax = 64;
// After a failure.
constexpr Millis kSweepPause{30000};
// Who finds damage looks again: what was deleted, and perhaps written again, after its row was read
// looks damaged.
constexpr int kLooksMax = 5;

Error NoServer() {
  return Error{ErrorCode::kUnavailable, "a server has objects, and the settings name none"};
}

// Has the server remove these. One that it does not remove keeps no other there.
Result<void> RemoveAll(RemoteObjects& remote, AppId app, const std::vector<RemoteObject>& left,
                       std::vector<RemoteObject>& removed) {
  Result<void> all;
  for (const RemoteObject& object : left) {
    Result<void> done = remote.Remove(app, object);
    if (done.ok())
      removed.push_back(object);
    else
      all = std::move(done);
    if (!remote.server().CheckAway().ok())
      break;
  }
  return all;
}

// Of an app that is gone. Blocking.
Result<void> PurgeAll(RemoteObjects& remote, AppId app, const std::string& directory) {
  if (!ObjectStore::Exists(directory))
    return {};
  const auto store = TRY(ObjectStore::Open(directory, ObjectStore::Use::kWrite));
  TRY(store->Begin());
  TRY(store->LeaveAll());
  TRY(store->Commit());
  while (true) {
    TRY(store->Begin());
    const std::vector<RemoteObject> left = TRY(store->LeftOnServer(kSweepMax));
    TRY(store->Commit());
    if (left.empty())
      return {};
    std::vector<RemoteObject> removed;
    Result<void> all = RemoveAll(remote, app, left, removed);
    TRY(store->Begin());
    TRY(store->Forget(removed));
    TRY(store->Commit());
    if (removed.empty())
      return all;
  }
}

}  // namespace

void PersistenceService::NoteServerTrouble(const Error& error) {
  if (error.code == ErrorCode::kUnavailable && server_trouble_.Near(parts_.clock.Now()))
    Log(LogLevel::kError, "object_server_failed", {{"error", error.message}});
}

ObjectStore::RemoteCheck PersistenceService::RemoteCheckOf(AppId app) const {
  if (parts_.remote == nullptr)
    return {};
  return [remote = parts_.remote, app](const RemotePart& part) { return remote->Check(app, part); };
}

// --- Reading

void PersistenceService::LookAt(const std::shared_ptr<Look>& look) {
  Add(look->wish.app, LaneKind::kRead,
      {.work = [look](Objects& objects) -> Result<ObjectReply> {
         look->piece = TRY(objects.Read(look->wish.id, look->wish.offset, look->wish.count));
         if (look->piece.state == ObjectPiece::State::kRemote)
           return ObjectReply{};
         return look->answer(std::move(look->piece));
       },
       .done =
           [this, look](ObjectReply reply) {
             if (!reply.error && look->piece.state == ObjectPiece::State::kRemote)
               Fetch(look);
             else
               look->done(std::move(reply));
           },
       .overlay = look->overlay,
       .bytes = look->wish.count < kObjectPieceMax ? look->wish.count : kObjectPieceMax});
}

void PersistenceService::Fetch(const std::shared_ptr<Look>& look) {
  RunRemote(look->wish.app, [this, remote = parts_.remote, look]() -> std::function<void()> {
    const auto fetched = std::make_shared<Fetched>(FetchNow(remote, *look));
    return [this, look, fetched] { OnFetched(look, std::move(*fetched)); };
  });
}

PersistenceService::Fetched PersistenceService::FetchNow(RemoteObjects* remote, Look& look) {
  ObjectPiece& piece = look.piece;
  const RemotePart part = std::exchange(piece.remote, std::nullopt).value_or(RemotePart());
  Result<std::string> read =
      remote != nullptr ? remote->Read(look.wish.app, part) : Result<std::string>(NoServer());
  if (!read.ok() && read.error().code != ErrorCode::kProtocol)
    return {.reply = FailedReply(read.error())};
  if (read.ok()) {
    piece.state = ObjectPiece::State::kWhole;
    piece.data = std::move(read).value();
  } else if (std::exchange(look.mark, part.mark) != part.mark && ++look.looks < kLooksMax) {
    return {.again = true};
  } else {
    piece.state = ObjectPiece::State::kDamaged;
    piece.damage = read.error().message;
  }
  return {.reply = look.answer(std::move(piece))};
}

void PersistenceService::OnFetched(const std::shared_ptr<Look>& look, Fetched fetched) {
  if (fetched.again)
    return LookAt(look);
  if (fetched.reply.error)
    NoteServerTrouble(*fetched.reply.error);
  look->done(std::move(fetched.reply));
}

// --- Sending

void PersistenceService::Send(
    AppId app, std::shared_ptr<ObjectWriter> writer, const PersistenceQuota& quota,
    std::function<void(Result<UploadPlan>, std::shared_ptr<ObjectWriter>)> done) {
  const auto sending = std::make_shared<Sending>(
      Sending{.app = app, .writer = std::move(writer), .done = std::move(done)});
  Add(app, LaneKind::kWrite,
      {.store_work = [sending, quota,
                      remote = parts_.remote](ObjectStore& store) -> Result<ObjectReply> {
         // A note of what cannot be sent would be swept for nothing.
         const Result<void> away =
             remote != nullptr ? remote->server().CheckAway() : Result<void>(NoServer());
         if (!away.ok() && !TRY(store.Stat(sending->writer->id())))
           return FailedReply(away.error());
         Result<UploadPlan> plan = store.BeginUpload(*sending->writer, quota);
         if (!plan.ok() && plan.error().code == ErrorCode::kUnavailable)
           return FailedReply(plan.error());
         sending->plan = TRY(std::move(plan));
         return ObjectReply{};
       },
       .done =
           [this, sending](const ObjectReply& reply) {
             const bool is_there = sending->plan.kind == UploadPlan::Kind::kThere;
             if (!reply.error && sending->plan.kind == UploadPlan::Kind::kSend)
               return SendNow(sending);
             if (!reply.error && is_there)
               return sending->done(sending->plan, std::move(sending->writer));
             Drop(sending->app, std::move(sending->writer));
             if (reply.error)
               sending->done(*reply.error, nullptr);
             else
               sending->done(sending->plan, nullptr);
           },
       .quota = quota});
}

void PersistenceService::SendNow(const std::shared_ptr<Sending>& sending) {
  RunRemote(sending->app, [this, remote = parts_.remote, sending]() -> std::function<void()> {
    const ObjectWriter& writer = *sending->writer;
    const RemoteObject object{.id = writer.id(), .mark = writer.mark()};
    const Result<void> sent = remote != nullptr
                                  ? remote->Put(sending->app, object, writer.file(), writer.size())
                                  : Result<void>(NoServer());
    if (sent.ok())
      return [sending] { sending->done(sending->plan, std::move(sending->writer)); };
    // Whoever sweeps finds that nobody writes it any more.
    sending->writer.reset();
    return [this, sending, error = sent.error()] { OnNotSent(*sending, error); };
  });
}

void PersistenceService::OnNotSent(const Sending& sending, const Error& error) {
  NoteServerTrouble(error);
  sending.done(error, nullptr);
  const auto app = apps_.find(sending.app);
  if (app == apps_.end())
    return;
  app->second.left = true;
  Sweep(sending.app);
}

// --- Removing

void PersistenceService::Sweep(AppId id) {
  const auto found = apps_.find(id);
  if (parts_.remote == nullptr || found == apps_.end())
    return;
  App& app = found->second;
  if (!app.left || app.sweeping || parts_.clock.Now() < app.sweep_at)
    return;
  app.left = false;
  app.sweeping = true;
  const auto left = std::make_shared<std::vector<RemoteObject>>();
  Add(id, LaneKind::kWrite,
      {.store_work = [left](ObjectStore& store) -> Result<ObjectReply> {
         *left = TRY(store.LeftOnServer(kSweepMax));
         return ObjectReply{};
       },
       .done =
           [this, id, left](const ObjectReply& reply) {
             if (reply.error || left->empty())
               EndSweep(id, false, reply.error);
             else
               RemoveLeft(id, left);
           }});
}

void PersistenceService::RemoveLeft(AppId id,
                                    const std::shared_ptr<std::vector<RemoteObject>>& left) {
  RunRemote(id, [this, remote = parts_.remote, id, left]() -> std::function<void()> {
    const auto swept = std::make_shared<Swept>();
    swept->more = left->size() == kSweepMax;
    if (Result<void> done = RemoveAll(*remote, id, *left, swept->removed); !done.ok())
      swept->error = std::move(done).error();
    return [this, id, swept] { ForgetRemoved(id, swept); };
  });
}

void PersistenceService::ForgetRemoved(AppId id, const std::shared_ptr<Swept>& swept) {
  if (const std::optional<Error>& error = swept->error)
    NoteServerTrouble(*error);
  if (swept->removed.empty())
    return EndSweep(id, swept->more, swept->error);
  Add(id, LaneKind::kWrite,
      {.store_work = [swept](ObjectStore& store) -> Result<ObjectReply> {
         TRY(store.Forget(swept->removed));
         return ObjectReply{};
       },
       .done =
           [this, id, swept](const ObjectReply& reply) {
             EndSweep(id, swept->more, swept->error ? swept->error : reply.error);
           }});
}

void PersistenceService::EndSweep(AppId id, bool more, const std::optional<Error>& error) {
  const auto found = apps_.find(id);
  if (found == apps_.end())
    return;
  App& app = found->second;
  app.sweeping = false;
  app.left = app.left || more || error.has_value();
  if (error)
    app.sweep_at = parts_.clock.Now() + kSweepPause;
  else
    Sweep(id);
}

bool PersistenceService::Purge(AppId id) {
  if (parts_.remote == nullptr || !deleted_.contains(id) || !purged_.insert(id).second)
    return false;
  RunRemote(id,
            [remote = parts_.remote, id, directory = DirectoryOf(id)]() -> std::function<void()> {
              const Result<void> purged = PurgeAll(*remote, id, directory);
              if (!purged.ok())
                Log(LogLevel::kError, "objects_left_on_server",
                    {{"app", id.number}, {"error", purged.error().message}});
              return [] {};
            });
  return true;
}

}  // namespace cloister
