#include "apis/persistence/object_overlay.h"

#include <algorithm>
#include <utility>

namespace cloister {
namespace {

// What an entry takes beside its bytes.
constexpr std::size_t kEntry = 128;

std::uint64_t Changed(std::uint64_t below, std::int64_t change) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(static_cast<std::int64_t>(below) + change, 0));
}

}  // namespace

Result<void> ObjectOverlay::Take(std::size_t bytes) {
  if (used_ + bytes + kEntry > kBytesMax)
    return Error{ErrorCode::kQuotaExceeded, "a check may write 32 MiB of objects"};
  used_ += bytes + kEntry;
  return {};
}

Result<ObjectTotals> ObjectOverlay::Totals() {
  const ObjectTotals below = below_ != nullptr ? TRY(below_->Totals()) : ObjectTotals{};
  return ObjectTotals{.bytes = Changed(below.bytes, bytes_change_),
                      .objects = Changed(below.objects, objects_change_),
                      .names = Changed(below.names, names_change_)};
}

Result<std::optional<QuotaRefusal>> ObjectOverlay::Write(ObjectWriter& object, std::uint64_t now_ms,
                                                         const PersistenceQuota& quota) {
  std::optional<QuotaRefusal> refused;
  if (TRY(Stat(object.id())))
    return refused;
  refused = RefuseObject(TRY(Totals()), object.size(), quota);
  if (refused)
    return refused;
  if (deleted_.contains(object.id())) {
    deleted_.erase(object.id());  // it is below
  } else {
    TRY(Take(object.memory().size()));
    objects_[object.id()] = {.data = object.memory(), .created_ms = now_ms};
  }
  bytes_change_ += static_cast<std::int64_t>(object.size());
  ++objects_change_;
  return refused;
}

Result<ObjectPiece> ObjectOverlay::Read(const Sha256& id, std::uint64_t offset,
                                        std::uint32_t count) {
  const auto here = objects_.find(id);
  if (here == objects_.end())
    return deleted_.contains(id) || below_ == nullptr ? ObjectPiece{}
                                                      : below_->Read(id, offset, count);
  const std::string& data = here->second.data;
  ObjectPiece piece{
      .state = ObjectPiece::State::kWhole, .data = {}, .size = data.size(), .damage = {}};
  if (offset < data.size())
    piece.data = data.substr(offset, std::min(count, kObjectPieceMax));
  return piece;
}

Result<std::optional<ObjectInfo>> ObjectOverlay::Stat(const Sha256& id) {
  const auto here = objects_.find(id);
  if (here != objects_.end())
    return std::optional<ObjectInfo>(
        {.size = here->second.data.size(), .created_ms = here->second.created_ms});
  if (deleted_.contains(id) || below_ == nullptr)
    return std::optional<ObjectInfo>();
  return below_->Stat(id);
}

Result<bool> ObjectOverlay::IsNamed(const Sha256& id) {
  if (std::ranges::any_of(names_, [&id](const auto& name) { return name.second == id; }))
    return true;
  if (below_ == nullptr)
    return false;
  const std::vector<std::string> below = TRY(below_->NamesOf(id));
  // More than a page of them: some are not of the overlay's, or it would be full.
  return below.size() > kObjectListMax ||
         std::ranges::any_of(below, [this](const auto& name) { return !names_.contains(name); });
}

Result<void> ObjectOverlay::Remove(const Sha256& id, std::uint64_t size) {
  const auto here = objects_.find(id);
  if (here != objects_.end()) {
    used_ -= here->second.data.size() + kEntry;
    objects_.erase(here);
  } else {
    TRY(Take(0));
    deleted_.insert(id);
  }
  bytes_change_ -= static_cast<std::int64_t>(size);
  --objects_change_;
  return {};
}

Result<ObjectDeletion> ObjectOverlay::Delete(const Sha256& id) {
  const std::optional<ObjectInfo> info = TRY(Stat(id));
  if (!info)
    return ObjectDeletion::kMissing;
  if (TRY(IsNamed(id)))
    return ObjectDeletion::kNamed;
  TRY(Remove(id, info->size));
  return ObjectDeletion::kDeleted;
}

Result<NameWritten> ObjectOverlay::Put(const NameWish& wish, const PersistenceQuota& quota) {
  NameWritten result;
  const std::optional<Sha256> current = TRY(Get(wish.name));
  if (wish.condition == NameCondition::kExpected && current != wish.expected) {
    result.outcome = NamePutOutcome::kChanged;
    return result;
  }
  if (!TRY(Stat(wish.id))) {
    result.outcome = NamePutOutcome::kNoObject;
    return result;
  }
  if (!current)
    result.refused = RefuseName(TRY(Totals()), quota);
  if (result.refused)
    return result;
  if (!names_.contains(wish.name))
    TRY(Take(wish.name.size()));
  names_[wish.name] = wish.id;
  if (!current)
    ++names_change_;
  return result;
}

Result<std::optional<Sha256>> ObjectOverlay::Get(std::string_view name) {
  const auto here = names_.find(name);
  if (here != names_.end())
    return here->second;
  if (below_ == nullptr)
    return std::optional<Sha256>();
  return below_->Get(name);
}

Result<bool> ObjectOverlay::DeleteName(std::string_view name, bool with_object) {
  const std::optional<Sha256> id = TRY(Get(name));
  if (!id)
    return false;
  if (!names_.contains(name))
    TRY(Take(name.size()));
  names_.insert_or_assign(std::string(name), std::nullopt);
  --names_change_;
  if (!with_object || TRY(IsNamed(*id)))
    return true;
  if (const std::optional<ObjectInfo> info = TRY(Stat(*id)))
    TRY(Remove(*id, info->size));
  return true;
}

Result<NamePage> ObjectOverlay::ListNames(std::string_view prefix, std::string_view after,
                                          std::size_t limit) {
  std::map<std::string, Sha256> merged;
  // As far as the pages below were read; none: to their end.
  std::optional<std::string> end;
  std::string from(after);
  while (below_ != nullptr) {
    NamePage page = TRY(below_->ListNames(prefix, from, kObjectListMax));
    for (const auto& [name, id] : page.names)
      if (!names_.contains(name))
        merged.emplace(name, id);
    if (!page.more)
      break;
    from = page.names.back().first;
    if (merged.size() > limit) {
      end = from;
      break;
    }
  }
  for (auto name = names_.upper_bound(after); name != names_.end(); ++name)
    if (const std::optional<Sha256>& id = name->second;
        id && name->first.starts_with(prefix) && (!end || name->first <= *end))
      merged.emplace(name->first, *id);
  NamePage result;
  result.more = merged.size() > limit;
  for (auto& [name, id] : merged) {
    if (result.names.size() == limit)
      break;
    result.names.emplace_back(name, id);
  }
  return result;
}

Result<ObjectPage> ObjectOverlay::ListObjects(const std::optional<Sha256>& after,
                                              std::size_t limit) {
  std::set<Sha256> merged;
  std::optional<Sha256> end;
  std::optional<Sha256> from = after;
  while (below_ != nullptr) {
    const ObjectPage page = TRY(below_->ListObjects(from, kObjectListMax));
    for (const Sha256& id : page.ids)
      if (!deleted_.contains(id))
        merged.insert(id);
    if (!page.more)
      break;
    from = page.ids.back();
    if (merged.size() > limit) {
      end = from;
      break;
    }
  }
  for (auto here = after ? objects_.upper_bound(*after) : objects_.begin(); here != objects_.end();
       ++here)
    if (!end || here->first <= *end)
      merged.insert(here->first);
  ObjectPage result;
  result.more = merged.size() > limit;
  for (const Sha256& id : merged) {
    if (result.ids.size() == limit)
      break;
    result.ids.push_back(id);
  }
  return result;
}

}  // namespace cloister
