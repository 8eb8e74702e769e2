#include "apis/persistence/service.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "apis/base/log.h"
#include "apis/base/unicode.h"
#include "apis/persistence/streams.h"

namespace cloister {
namespace {

Error Protocol(const char* what) {
  return Error{ErrorCode::kProtocol, what};
}

template <typename Results>
ObjectReply Done(const Results& results) {
  return {.bytes = EncodeReply(results), .refused = {}};
}

Result<Sha256> IdOf(std::string_view bytes) {
  const std::optional<Sha256> id = Sha256::FromBytes(bytes);
  if (!id)
    return Protocol("an id that is none");
  return *id;
}

Result<std::string> NameOf(std::string_view name) {
  if (name.empty() || name.size() > kObjectNameMax || !IsUtf8(name))
    return Protocol("a name that is none");
  return std::string(name);
}

std::uint8_t Flag(bool value) {
  return value ? 1 : 0;
}

ObjectReply DamagedReply(const Sha256& id, const std::string& what) {
  const std::string message = "the object " + id.Hex() + " is damaged: " + what;
  CallFailure failure;
  failure.code = "object_damaged";
  failure.message = message;
  return {.bytes = EncodeReply(failure), .refused = {}, .damage = message};
}

ObjectReply ReadReply(const Sha256& id, const ObjectPiece& piece) {
  if (piece.state == ObjectPiece::State::kDamaged)
    return DamagedReply(id, piece.damage);
  ObjectReadResult result{.data = {}, .size = piece.size};
  if (piece.state == ObjectPiece::State::kWhole)
    result.data = piece.data;
  return Done(result);
}

// Work that answers with what is there of an id or name.
template <typename Value, typename Answer>
Result<ObjectReply> Answered(Result<Value> value, Answer&& answer) {
  if (!value.ok())
    return std::move(value).error();
  return Done(answer(value.value()));
}

Result<void> Fill(ObjectWriter& writer, std::string_view bytes) {
  TRY(writer.Append(bytes));
  return writer.Finish();
}

// Stores what is written, and answers with its id.
Result<ObjectReply> Store(Objects& objects, ObjectWriter& writer, std::uint64_t now_ms,
                          const PersistenceQuota& quota) {
  const std::optional<QuotaRefusal> refused = TRY(objects.Write(writer, now_ms, quota));
  if (refused)
    return RefusedReply(*refused);
  return Done(ObjectWriteResult{.id = writer.id().view()});
}

NameListResult NamesIn(const NamePage& page) {
  NameListResult result;
  for (const auto& [name, object] : page.names) {
    result.names.emplace_back(name);
    result.ids.push_back(object.view());
  }
  result.more = Flag(page.more);
  return result;
}

}  // namespace

ObjectReply FailedReply(const Error& error) {
  CallFailure failure;
  failure.message = error.message;
  switch (error.code) {
    case ErrorCode::kStorageFull:
      failure.code = "disk_full";
      failure.message = "the node's disk is full; nothing was changed";
      break;
    case ErrorCode::kQuotaExceeded:
      failure.code = "overlay_full";
      break;
    case ErrorCode::kUnavailable:
      failure.code = "storage_unavailable";
      failure.message = "what keeps the node's objects cannot be reached now; nothing was changed";
      break;
    default:
      failure.code = "storage_failed";
      failure.message = "the node could not read or write its disk; its log says more";
      break;
  }
  return {.bytes = EncodeReply(failure), .refused = {}, .damage = {}, .error = error};
}

ObjectReply RefusedReply(const QuotaRefusal& refusal) {
  return {.bytes = EncodeReply(refusal), .refused = refusal.quota};
}

PersistenceService::PersistenceService(Parts parts)
    : parts_(std::move(parts)), streams_(std::make_unique<ObjectStreams>(*this)) {}

PersistenceService::~PersistenceService() {
  if (parts_.remote != nullptr)
    parts_.remote->server().Cancel();
}

std::string PersistenceService::DirectoryOf(AppId app) const {
  return parts_.apps_directory + "/" + std::to_string(app.number);
}

std::uint64_t PersistenceService::NowMs() const {
  const auto since = parts_.clock.Wall().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<Millis>(since).count());
}

void PersistenceService::Deliver(AppId app, CallId id, ObjectReply reply) {
  if (!reply.refused.empty())
    parts_.answers.NoteQuotaRefused(app, reply.refused);
  NoteDamage(app, reply.damage);
  parts_.answers.Answer(id, std::move(reply.bytes));
}

void PersistenceService::NoteDamage(AppId app, std::string_view damage) {
  if (!damage.empty() && apps_[app].damage.Near(parts_.clock.Now()))
    Log(LogLevel::kError, "object_damaged", {{"app", app.number}, {"what", damage}});
}

bool PersistenceService::RefuseRate(CallId id, const CallOrigin& origin) {
  App& app = apps_[origin.app];
  const double rate = origin.quota.persistence.writes_rate;
  TokenBucket& bucket = app.writes ? *app.writes : app.writes.emplace(rate, rate);
  bucket.Set(rate, rate);
  if (bucket.Take(1, parts_.clock.Now())) {
    if (bucket.used() >= kQuotaNear)
      parts_.answers.NoteQuotaNear(
          origin.app, "persistence.writes",
          std::to_string(origin.quota.persistence.writes_rate) + " a second", bucket.used());
    return false;
  }
  const auto wait = std::chrono::duration_cast<Millis>(bucket.RetryAfter(1));
  Deliver(origin.app, id,
          RefusedReply({.quota = "persistence.writes",
                        .limit = static_cast<std::uint64_t>(rate),
                        .used = static_cast<std::uint64_t>(std::ceil(bucket.used_amount() + 1)),
                        .retry_after_ms = static_cast<std::uint32_t>(wait.count())}));
  return true;
}

std::shared_ptr<ObjectOverlay> PersistenceService::FindOverlay(OverlayId overlay) const {
  const auto found = overlays_.find(overlay);
  return found == overlays_.end() ? nullptr : found->second;
}

std::shared_ptr<ObjectWriter> PersistenceService::MakeWriter(const CallOrigin& origin) const {
  return std::make_shared<ObjectWriter>(
      origin.overlay == 0 ? DirectoryOf(origin.app) : std::string(), GoalOfLarge());
}

void PersistenceService::Drop(AppId app, std::shared_ptr<ObjectWriter> writer) {
  Run(app, [writer = std::move(writer)]() mutable -> std::function<void()> {
    writer.reset();
    return [] {};
  });
}

Result<void> PersistenceService::Serve(CallId id, const CallOrigin& origin, CallNumber number,
                                       std::string_view args) {
  // Only here, where a worker of it is alive: what is late must not bring it back.
  if (origin.overlay != 0 && !overlays_.contains(origin.overlay))
    overlays_.emplace(origin.overlay, std::make_shared<ObjectOverlay>());
  switch (number) {
    case CallNumber::kObjectWrite:
      return ServeWrite(id, origin, args);
    case CallNumber::kObjectBegin:
      TRY(DecodeFields<ObjectBegin>(args));
      if (!RefuseRate(id, origin))
        streams_->Begin(id, origin);
      return {};
    case CallNumber::kObjectAppend:
      return streams_->Append(id, origin, args);
    case CallNumber::kObjectFinish:
      return streams_->Finish(id, origin, args);
    case CallNumber::kObjectAbort:
      return streams_->Abort(id, origin, args);
    case CallNumber::kObjectRead:
      return ServeRead(id, origin, args);
    case CallNumber::kObjectStat:
      return ServeStat(id, origin, args);
    case CallNumber::kObjectDelete:
      return ServeDelete(id, origin, args);
    case CallNumber::kNamePut:
      return ServePut(id, origin, args);
    case CallNumber::kNameGet:
      return ServeGet(id, origin, args);
    case CallNumber::kNameDelete:
      return ServeDeleteName(id, origin, args);
    case CallNumber::kNameList:
      return ServeListNames(id, origin, args);
    case CallNumber::kObjectList:
      return ServeListObjects(id, origin, args);
    case CallNumber::kObjectUsage:
      TRY(DecodeFields<ObjectUsage>(args));
      return ServeUsage(id, origin);
    default:
      return Protocol("no call of persistence");
  }
}

void PersistenceService::WriteFinished(const CallOrigin& origin, CallId id,
                                       std::shared_ptr<ObjectWriter> writer) {
  if (!writer->in_file() || writer->goal() == ObjectWriter::Goal::kFile)
    return StoreFinished(origin, id, std::move(writer));
  Send(origin.app, std::move(writer), origin.quota.persistence,
       [this, origin, id](Result<UploadPlan> sent, std::shared_ptr<ObjectWriter> there) {
         if (!sent.ok())
           return Deliver(origin.app, id, FailedReply(sent.error()));
         const UploadPlan& plan = sent.value();
         switch (plan.kind) {
           case UploadPlan::Kind::kThere:
             Drop(origin.app, std::move(there));
             return Deliver(origin.app, id, Done(ObjectWriteResult{.id = plan.id.view()}));
           case UploadPlan::Kind::kRefused:
             return Deliver(origin.app, id, RefusedReply(plan.refused.value_or(QuotaRefusal())));
           case UploadPlan::Kind::kSend:
             return StoreFinished(origin, id, std::move(there));
         }
       });
}

void PersistenceService::StoreFinished(const CallOrigin& origin, CallId id,
                                       std::shared_ptr<ObjectWriter> writer) {
  const std::size_t bytes = writer->in_file() ? 0 : writer->memory().size();
  Queue(
      origin, id, LaneKind::kWrite,
      [writer = std::move(writer), quota = origin.quota.persistence,
       now = NowMs()](Objects& objects) { return Store(objects, *writer, now, quota); },
      bytes);
}

Result<void> PersistenceService::ServeWrite(CallId id, const CallOrigin& origin,
                                            std::string_view args) {
  const ObjectWrite call = TRY(DecodeFields<ObjectWrite>(args));
  if (RefuseRate(id, origin))
    return {};
  const std::uint64_t most = origin.quota.persistence.object_max.count;
  if (call.data.size() > most) {
    Deliver(origin.app, id,
            RefusedReply({.quota = "persistence.object", .limit = most, .used = call.data.size()}));
    return {};
  }
  auto data = std::make_shared<std::string>(call.data);
  std::shared_ptr<ObjectWriter> writer = MakeWriter(origin);
  // A small one is hashed where it is stored: one turn of a thread less.
  if (data->size() > kObjectRowMax) {
    WriteLarge(origin, id, std::move(writer), std::move(data));
    return {};
  }
  const std::size_t size = data->size();
  Queue(
      origin, id, LaneKind::kWrite,
      [writer, data, quota = origin.quota.persistence,
       now = NowMs()](Objects& objects) -> Result<ObjectReply> {
        TRY(Fill(*writer, *data));
        return Store(objects, *writer, now, quota);
      },
      size);
  return {};
}

void PersistenceService::WriteLarge(const CallOrigin& origin, CallId id,
                                    std::shared_ptr<ObjectWriter> writer,
                                    std::shared_ptr<const std::string> data) {
  Run(origin.app,
      [this, origin, id, writer = std::move(writer),
       data = std::move(data)]() mutable -> std::function<void()> {
        const Result<void> written = Fill(*writer, *data);
        data.reset();
        if (written.ok())
          return [this, origin, id, writer] { WriteFinished(origin, id, writer); };
        writer.reset();
        const auto reply = std::make_shared<ObjectReply>(FailedReply(written.error()));
        return [this, origin, id, reply] { Deliver(origin.app, id, std::move(*reply)); };
      });
}

Result<void> PersistenceService::ServeRead(CallId id, const CallOrigin& origin,
                                           std::string_view args) {
  const ObjectRead call = TRY(DecodeFields<ObjectRead>(args));
  const Sha256 object = TRY(IdOf(call.id));
  std::shared_ptr<ObjectOverlay> overlay = FindOverlay(origin.overlay);
  if (origin.overlay != 0 && overlay == nullptr) {
    Deliver(origin.app, id, FailedReply(Error{ErrorCode::kNotFound, "the check is over"}));
    return {};
  }
  LookAt(std::make_shared<Look>(
      Look{.wish = {.app = origin.app, .id = object, .offset = call.offset, .count = call.count},
           .overlay = std::move(overlay),
           .answer = [object](const ObjectPiece& piece) { return ReadReply(object, piece); },
           .done = [this, app = origin.app,
                    id](ObjectReply reply) { Deliver(app, id, std::move(reply)); }}));
  return {};
}

Result<void> PersistenceService::ServeStat(CallId id, const CallOrigin& origin,
                                           std::string_view args) {
  const ObjectStat call = TRY(DecodeFields<ObjectStat>(args));
  const Sha256 object = TRY(IdOf(call.id));
  Queue(origin, id, LaneKind::kRead, [object](Objects& objects) {
    return Answered(objects.Stat(object), [](const std::optional<ObjectInfo>& info) {
      ObjectStatResult result;
      if (info)
        result = {.size = static_cast<std::int64_t>(info->size), .created_ms = info->created_ms};
      return result;
    });
  });
  return {};
}

Result<void> PersistenceService::ServeDelete(CallId id, const CallOrigin& origin,
                                             std::string_view args) {
  const ObjectDelete call = TRY(DecodeFields<ObjectDelete>(args));
  const Sha256 object = TRY(IdOf(call.id));
  if (RefuseRate(id, origin))
    return {};
  Queue(origin, id, LaneKind::kWrite, [object](Objects& objects) {
    return Answered(objects.Delete(object), [](ObjectDeletion deletion) {
      return ObjectDeleteResult{.outcome = static_cast<std::uint8_t>(deletion)};
    });
  });
  return {};
}

Result<void> PersistenceService::ServePut(CallId id, const CallOrigin& origin,
                                          std::string_view args) {
  const NamePut call = TRY(DecodeFields<NamePut>(args));
  NameWish wish;
  wish.name = TRY(NameOf(call.name));
  wish.id = TRY(IdOf(call.id));
  wish.condition = NameCondition{call.condition};
  if (call.condition > static_cast<std::uint8_t>(NameCondition::kExpected))
    return Protocol("a condition that does not exist");
  if (call.expected)
    wish.expected = TRY(IdOf(*call.expected));
  if (RefuseRate(id, origin))
    return {};
  Queue(origin, id, LaneKind::kWrite,
        [wish, quota = origin.quota.persistence](Objects& objects) -> Result<ObjectReply> {
          const NameWritten put = TRY(objects.Put(wish, quota));
          if (put.refused)
            return RefusedReply(*put.refused);
          return Done(NamePutResult{.outcome = static_cast<std::uint8_t>(put.outcome)});
        });
  return {};
}

Result<void> PersistenceService::ServeGet(CallId id, const CallOrigin& origin,
                                          std::string_view args) {
  const NameGet call = TRY(DecodeFields<NameGet>(args));
  std::string name = TRY(NameOf(call.name));
  Queue(origin, id, LaneKind::kRead, [name = std::move(name)](Objects& objects) {
    return Answered(objects.Get(name), [](const std::optional<Sha256>& found) {
      NameGetResult result;
      if (found)
        result.id = found->view();
      return result;
    });
  });
  return {};
}

Result<void> PersistenceService::ServeDeleteName(CallId id, const CallOrigin& origin,
                                                 std::string_view args) {
  const NameDelete call = TRY(DecodeFields<NameDelete>(args));
  std::string name = TRY(NameOf(call.name));
  if (call.with_object > 1)
    return Protocol("a flag that is none");
  if (RefuseRate(id, origin))
    return {};
  Queue(origin, id, LaneKind::kWrite,
        [name = std::move(name), with_object = call.with_object == 1](Objects& objects) {
          return Answered(objects.DeleteName(name, with_object),
                          [](bool deleted) { return NameDeleteResult{.deleted = Flag(deleted)}; });
        });
  return {};
}

Result<void> PersistenceService::ServeListNames(CallId id, const CallOrigin& origin,
                                                std::string_view args) {
  const NameList call = TRY(DecodeFields<NameList>(args));
  if (call.prefix.size() > kObjectNameMax || call.after.size() > kObjectNameMax)
    return Protocol("a name that is none");
  const std::size_t limit = std::clamp<std::size_t>(call.limit, 1, kObjectListMax);
  Queue(
      origin, id, LaneKind::kRead,
      [prefix = std::string(call.prefix), after = std::string(call.after), limit](
          Objects& objects) { return Answered(objects.ListNames(prefix, after, limit), NamesIn); });
  return {};
}

Result<void> PersistenceService::ServeListObjects(CallId id, const CallOrigin& origin,
                                                  std::string_view args) {
  const ObjectList call = TRY(DecodeFields<ObjectList>(args));
  std::optional<Sha256> after;
  if (call.after)
    after = TRY(IdOf(*call.after));
  const std::size_t limit = std::clamp<std::size_t>(call.limit, 1, kObjectListMax);
  Queue(origin, id, LaneKind::kRead, [after, limit](Objects& objects) {
    return Answered(objects.ListObjects(after, limit), [](const ObjectPage& page) {
      ObjectListResult result;
      for (const Sha256& object : page.ids)
        result.ids.push_back(object.view());
      result.more = Flag(page.more);
      return result;
    });
  });
  return {};
}

Result<void> PersistenceService::ServeUsage(CallId id, const CallOrigin& origin) {
  Queue(origin, id, LaneKind::kRead, [](Objects& objects) {
    return Answered(objects.Totals(), [](const ObjectTotals& totals) {
      return ObjectUsageResult{
          .bytes = totals.bytes, .objects = totals.objects, .names = totals.names};
    });
  });
  return {};
}

void PersistenceService::OnCallerGone(CallerId caller) {
  streams_->OnCallerGone(caller);
}

void PersistenceService::OnOverlayEnded(OverlayId overlay) {
  overlays_.erase(overlay);
}

}  // namespace cloister
