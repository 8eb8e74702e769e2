// Objects of apps, for operators: listing, reading, keeping, deleting.

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "apis/base/log.h"
#include "apis/base/unicode.h"
#include "apis/persistence/service.h"
#include "daemon/admin/handlers.h"

namespace cloister {
namespace {

// Its code is what an app gets for the same.
Problem ObjectsProblem(Error error) {
  if (error.code == ErrorCode::kUnavailable)
    return Refused(ProblemCode::kStorageUnavailable,
                   "what keeps objects cannot be reached now: " + error.message);
  return ProblemOf(std::move(error));
}

using Json = nlohmann::json;

constexpr std::size_t kCopyPiece = std::size_t{1} << 20;

// The app, and the objects of apps.
struct Asked {
  const AppEntry* app = nullptr;
  PersistenceService* objects = nullptr;
};

// Empty, and the request is answered, when there is none of either.
std::optional<Asked> FindObjectsOrFail(AdminContext& context, const AdminRequest& request,
                                       const AdminReply& reply) {
  const Asked asked{.app = FindAppOrFail(context, request, reply),
                    .objects = context.options.objects};
  if (asked.app == nullptr)
    return std::nullopt;
  if (asked.objects != nullptr)
    return asked;
  reply.Fail(ProblemCode::kUnavailable, "this node keeps no objects");
  return std::nullopt;
}

Problem WrongQuery(const char* what) {
  return Problem{.code = ProblemCode::kQueryInvalid, .detail = what};
}

// One of both.
struct ObjectReference {
  std::optional<Sha256> id;
  std::string name;

  std::string Shown() const { return id ? "object " + id->Hex() : "name '" + name + "'"; }
};

Outcome<std::string> NameIn(const Query& query, std::string_view parameter) {
  const std::string name = query.Text(parameter).value_or("");
  if (name.size() > kObjectNameMax || !IsUtf8(name))
    return WrongQuery("a name has at most 1024 bytes of UTF-8");
  return name;
}

Outcome<ObjectReference> ReferenceIn(const Query& query) {
  ObjectReference reference{.id = {}, .name = TRY(NameIn(query, "name"))};
  if (const std::optional<std::string> id = query.Text("id"); id) {
    reference.id = Sha256::FromHex(*id);
    if (!reference.id)
      return WrongQuery("an id is 64 hexadecimal digits of lower case");
  }
  if (reference.id.has_value() != reference.name.empty())
    return WrongQuery("either id or name is wanted");
  return reference;
}

void FailMissing(const AdminReply& reply, const std::string& what) {
  reply.Fail(ProblemCode::kObjectNotFound, "the app has no " + what);
}

// Empty: what it refers to is not there.
Result<std::optional<Sha256>> Resolve(Objects& objects, const ObjectReference& reference) {
  if (!reference.id)
    return objects.Get(reference.name);
  return TRY(objects.Stat(*reference.id)) ? reference.id : std::optional<Sha256>();
}

Json ObjectJson(const Sha256& id, const std::optional<ObjectInfo>& info) {
  return {{"id", id.Hex()},
          {"size", info ? info->size : 0},
          {"created_at",
           TimeText(WallTime(Millis(info ? static_cast<std::int64_t>(info->created_ms) : 0)))}};
}

std::string Dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string PageText(Json rows, Json next) {
  return Dumped({{"objects", std::move(rows)}, {"next", std::move(next)}});
}

Result<std::string> ListNamed(Objects& objects, const std::string& prefix, const std::string& after,
                              std::size_t limit) {
  const NamePage page = TRY(objects.ListNames(prefix, after, limit));
  Json rows = Json::array();
  for (const auto& [name, id] : page.names) {
    Json row = ObjectJson(id, TRY(objects.Stat(id)));
    row["name"] = name;
    rows.push_back(std::move(row));
  }
  return PageText(std::move(rows), page.more ? Json(page.names.back().first) : Json());
}

Result<std::string> ListAll(Objects& objects, const std::optional<Sha256>& after,
                            std::size_t limit) {
  const ObjectPage page = TRY(objects.ListObjects(after, limit));
  Json rows = Json::array();
  for (const Sha256& id : page.ids)
    rows.push_back(ObjectJson(id, TRY(objects.Stat(id))));
  return PageText(std::move(rows), page.more ? Json(page.ids.back().Hex()) : Json());
}

// What work gave as JSON; "" stands for nothing there.
std::function<void(const Result<std::string>&)> SendJson(const AdminReply& reply,
                                                         std::string what) {
  return [reply, what = std::move(what)](const Result<std::string>& text) {
    if (!text.ok())
      reply.Fail(ObjectsProblem(Error(text.error())));
    else if (text.value().empty())
      FailMissing(reply, what);
    else
      reply.SendBytes("application/json", text.value());
  };
}

// Blocking.
Result<void> CopyBody(const TakenBody& body, ObjectWriter& writer) {
  if (!body.file.valid())
    return writer.Append(body.bytes);
  std::string piece(kCopyPiece, '\0');
  for (std::uint64_t done = 0; done < body.size;) {
    const ssize_t got =
        ::pread(body.file.get(), piece.data(), piece.size(), static_cast<off_t>(done));
    if (got <= 0)
      return SystemError("reading what was sent");
    TRY(writer.Append(std::string_view(piece).substr(0, static_cast<std::size_t>(got))));
    done += static_cast<std::uint64_t>(got);
  }
  return {};
}

// Of what a quota of objects counts.
const char* UnitOf(std::string_view quota) {
  return quota == "persistence.bytes" || quota == "persistence.object" ? " bytes" : "";
}

void SendKept(const Result<ObjectKept>& kept, const std::string& name, const AdminReply& reply) {
  if (!kept.ok())
    return reply.Fail(ObjectsProblem(Error(kept.error())));
  const std::optional<QuotaRefusal>& refused = kept.value().refused;
  if (refused)
    return reply.Fail(ProblemCode::kObjectsFull,
                      "the quota " + std::string(refused->quota) + " allows " +
                          std::to_string(refused->limit) + UnitOf(refused->quota) + ", " +
                          std::to_string(refused->used) + " would be used");
  reply.Send(201, {{"id", kept.value().id.Hex()},
                   {"size", kept.value().size},
                   {"name", name.empty() ? Json() : Json(name)}});
}

// What is asked of one object; nothing, and the request is answered, when that is not sound.
struct AskedOfObject {
  Asked asked;
  ObjectReference reference;
};

std::optional<AskedOfObject> FindObjectOrFail(AdminContext& context, const AdminRequest& request,
                                              const AdminReply& reply) {
  const std::optional<Asked> asked = FindObjectsOrFail(context, request, reply);
  if (!asked)
    return std::nullopt;
  const Outcome<ObjectReference> reference = ReferenceIn(request.query);
  if (reference.ok())
    return AskedOfObject{.asked = *asked, .reference = reference.value()};
  reply.Fail(reference.error());
  return std::nullopt;
}

struct Listing {
  bool ids = false;
  std::string prefix;
  std::string after;
  std::optional<Sha256> after_id;
  std::size_t limit = kObjectListMax;
};

Outcome<Listing> ListingIn(const Query& query) {
  Listing listing;
  listing.ids = TRY(query.Flag("ids"));
  listing.prefix = TRY(NameIn(query, "prefix"));
  listing.after = TRY(NameIn(query, "after"));
  listing.after_id = Sha256::FromHex(listing.after);
  listing.limit = TRY(query.Number("limit", kObjectListMax)).value_or(kObjectListMax);
  if (listing.ids && !listing.after.empty() && !listing.after_id)
    return WrongQuery("after is an id where ids are listed");
  if (listing.limit == 0)
    return WrongQuery("limit is at least 1");
  return listing;
}

}  // namespace

void HandleListObjects(AdminContext& context, const AdminRequest& request,
                       const AdminReply& reply) {
  const std::optional<Asked> asked = FindObjectsOrFail(context, request, reply);
  if (!asked)
    return;
  const Outcome<Listing> listing = ListingIn(request.query);
  if (!listing.ok())
    return reply.Fail(listing.error());
  asked->objects->Do(
      asked->app->row.id, PersistenceService::Access::kRead,
      [wish = listing.value()](Objects& objects) {
        return wish.ids ? ListAll(objects, wish.after_id, wish.limit)
                        : ListNamed(objects, wish.prefix, wish.after, wish.limit);
      },
      SendJson(reply, "objects"));
}

void HandleStatObject(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const std::optional<AskedOfObject> object = FindObjectOrFail(context, request, reply);
  if (!object)
    return;
  const auto& [asked, reference] = *object;
  asked.objects->Do(
      asked.app->row.id, PersistenceService::Access::kRead,
      [reference = reference](Objects& objects) -> Result<std::string> {
        const std::optional<Sha256> id = TRY(Resolve(objects, reference));
        if (!id)
          return std::string();
        return Dumped(ObjectJson(*id, TRY(objects.Stat(*id))));
      },
      SendJson(reply, reference.Shown()));
}

void HandleReadObject(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const std::optional<AskedOfObject> object = FindObjectOrFail(context, request, reply);
  if (!object)
    return;
  const auto& [asked, reference] = *object;
  constexpr std::uint64_t kOffsetMax = std::uint64_t{1} << 60;
  const auto offset = request.query.Number("offset", kOffsetMax);
  const auto count = request.query.Number("count", kObjectPieceMax);
  if (!offset.ok() || !count.ok())
    return reply.Fail(offset.ok() ? count.error() : offset.error());
  asked.objects->ReadPiece(
      {.app = asked.app->row.id,
       .id = reference.id.value_or(Sha256()),
       .offset = offset.value().value_or(0),
       .count = static_cast<std::uint32_t>(count.value().value_or(kObjectPieceMax))},
      [reply, what = reference.Shown()](const Result<ObjectPiece>& read) {
        if (!read.ok())
          reply.Fail(ObjectsProblem(Error(read.error())));
        else if (read.value().state == ObjectPiece::State::kMissing)
          FailMissing(reply, what);
        else if (read.value().state == ObjectPiece::State::kDamaged)
          reply.Fail(ProblemCode::kIntegrity,
                     "the " + what + " is damaged: " + read.value().damage);
        else
          reply.SendBytes("application/octet-stream", read.value().data);
      });
}

void HandleStoreObject(AdminContext& context, const AdminRequest& request,
                       const AdminReply& reply) {
  const std::optional<Asked> asked = FindObjectsOrFail(context, request, reply);
  if (!asked)
    return;
  const Outcome<std::string> name = NameIn(request.query, "name");
  if (!name.ok())
    return reply.Fail(name.error());
  if (request.query.Text("name") && name.value().empty())
    return reply.Fail(WrongQuery("a name is not empty; without the parameter the object has none"));
  asked->objects->Keep(
      asked->app->row.id,
      {.fill = [body = request.body](ObjectWriter& writer) { return CopyBody(*body, writer); },
       .name = name.value(),
       .quota = context.parts.releases.quotas().Of(asked->app->row).persistence},
      [reply, name = name.value(), app = asked->app->row.id,
       who = request.who](const Result<ObjectKept>& kept) {
        if (kept.ok() && !kept.value().refused)
          Log(LogLevel::kInfo, "object_kept",
              {{"app", app.number}, {"id", kept.value().id.Hex()}, {"by", who}});
        SendKept(kept, name, reply);
      });
}

void HandleDeleteObject(AdminContext& context, const AdminRequest& request,
                        const AdminReply& reply) {
  const std::optional<AskedOfObject> object = FindObjectOrFail(context, request, reply);
  if (!object)
    return;
  const auto& [asked, reference] = *object;
  const auto outcome = std::make_shared<ObjectDeletion>();
  asked.objects->Do(
      asked.app->row.id, PersistenceService::Access::kChange,
      [reference = reference, outcome](Objects& objects) -> Result<std::string> {
        if (reference.id)
          *outcome = TRY(objects.Delete(*reference.id));
        else
          *outcome = TRY(objects.DeleteName(reference.name, true)) ? ObjectDeletion::kDeleted
                                                                   : ObjectDeletion::kMissing;
        return std::string();
      },
      [reply, outcome, what = reference.Shown(), app = asked.app->row.id,
       who = request.who](const Result<std::string>& done) {
        if (!done.ok())
          return reply.Fail(ObjectsProblem(Error(done.error())));
        if (*outcome == ObjectDeletion::kMissing)
          return FailMissing(reply, what);
        if (*outcome == ObjectDeletion::kNamed)
          return reply.Fail(ProblemCode::kObjectInUse, "a name refers to the " + what);
        Log(LogLevel::kInfo, "object_deleted", {{"app", app.number}, {"what", what}, {"by", who}});
        reply.SendNothing();
      });
}

}  // namespace cloister
