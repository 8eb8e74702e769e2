#pragma once

// What an app's objects and names can do, wherever they are: the real ones (object_store.h), or on
// an overlay above them (object_overlay.h).
//
// An object is bytes whose id is their SHA-256; a name refers to one object. Blocking, one thread
// at a time. kStorageFull: the disk is full; kSystem: it failed; then nothing was changed.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/sha256.h"
#include "apis/calls.h"
#include "apis/persistence/object_writer.h"
#include "apis/persistence/quota.h"
#include "apis/persistence/remote_objects.h"

namespace cloister {

// What one read call brings at most.
inline constexpr std::uint32_t kObjectPieceMax = 1U << 20;
inline constexpr std::size_t kObjectNameMax = 1024;
inline constexpr std::size_t kObjectListMax = kCallListMax;

enum class ObjectDeletion : std::uint8_t { kMissing = 0, kDeleted = 1, kNamed = 2 };
enum class NameCondition : std::uint8_t { kAny = 0, kExpected = 1 };
enum class NamePutOutcome : std::uint8_t { kChanged = 0, kPut = 1, kNoObject = 2 };

struct ObjectInfo {
  std::uint64_t size = 0;
  std::uint64_t created_ms = 0;  // since 1970
};

struct ObjectPiece {
  // kRemote: `remote` says where it is to be read (remote_objects.h).
  enum class State { kMissing, kWhole, kDamaged, kRemote };
  State state = State::kMissing;
  std::string data = {};
  std::uint64_t size = 0;   // of the object
  std::string damage = {};  // what is wrong, for people
  std::optional<RemotePart> remote = {};
};

struct ObjectTotals {
  // What a name counts as in `persistence.bytes`: it takes room as well, however short it is.
  static constexpr std::uint64_t kNameBytes = 1024;

  std::uint64_t bytes = 0;
  std::uint64_t objects = 0;
  std::uint64_t names = 0;

  // What `persistence.bytes` looks at.
  std::uint64_t charged() const { return bytes + names * kNameBytes; }
  bool operator==(const ObjectTotals&) const = default;
};

struct NameWish {
  std::string name;
  Sha256 id;
  NameCondition condition = NameCondition::kAny;
  std::optional<Sha256> expected;  // of kExpected; none: there is no such name yet
};

struct NameWritten {
  NamePutOutcome outcome = NamePutOutcome::kPut;
  std::optional<QuotaRefusal> refused;
};

struct NamePage {
  std::vector<std::pair<std::string, Sha256>> names;  // in the order of their bytes
  bool more = false;
};

struct ObjectPage {
  std::vector<Sha256> ids;  // in their order
  bool more = false;
};

class Objects {
 public:
  Objects() = default;
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;
  virtual ~Objects() = default;

  // `object` is finished, and on the server where that is its goal. What is there already is not
  // stored twice, and costs nothing.
  virtual Result<std::optional<QuotaRefusal>> Write(ObjectWriter& object, std::uint64_t now_ms,
                                                    const PersistenceQuota& quota) = 0;
  virtual Result<ObjectPiece> Read(const Sha256& id, std::uint64_t offset, std::uint32_t count) = 0;
  virtual Result<std::optional<ObjectInfo>> Stat(const Sha256& id) = 0;
  virtual Result<ObjectDeletion> Delete(const Sha256& id) = 0;
  virtual Result<NameWritten> Put(const NameWish& wish, const PersistenceQuota& quota) = 0;
  virtual Result<std::optional<Sha256>> Get(std::string_view name) = 0;
  // Whether there was one.
  virtual Result<bool> DeleteName(std::string_view name, bool with_object) = 0;
  // Names that begin with `prefix` and come after `after`; at most `limit`.
  virtual Result<NamePage> ListNames(std::string_view prefix, std::string_view after,
                                     std::size_t limit) = 0;
  virtual Result<ObjectPage> ListObjects(const std::optional<Sha256>& after, std::size_t limit) = 0;
  virtual Result<ObjectTotals> Totals() = 0;
};

// What the quota says of an object of that size beside what is there; none: it may come.
inline std::optional<QuotaRefusal> RefuseObject(const ObjectTotals& totals, std::uint64_t size,
                                                const PersistenceQuota& quota) {
  if (size > quota.object_max.count)
    return QuotaRefusal{
        .quota = "persistence.object", .limit = quota.object_max.count, .used = size};
  if (totals.charged() + size > quota.bytes_max.count)
    return QuotaRefusal{.quota = "persistence.bytes",
                        .limit = quota.bytes_max.count,
                        .used = totals.charged() + size};
  if (totals.objects + 1 > quota.objects_max)
    return QuotaRefusal{
        .quota = "persistence.objects", .limit = quota.objects_max, .used = totals.objects + 1};
  return std::nullopt;
}

// The same of one more name.
inline std::optional<QuotaRefusal> RefuseName(const ObjectTotals& totals,
                                              const PersistenceQuota& quota) {
  if (totals.names + 1 > quota.objects_max)
    return QuotaRefusal{
        .quota = "persistence.objects", .limit = quota.objects_max, .used = totals.names + 1};
  const std::uint64_t bytes = totals.charged() + ObjectTotals::kNameBytes;
  if (bytes > quota.bytes_max.count)
    return QuotaRefusal{
        .quota = "persistence.bytes", .limit = quota.bytes_max.count, .used = bytes};
  return std::nullopt;
}

}  // namespace cloister
