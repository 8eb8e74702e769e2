#pragma once

// What a release that is only checked does to its app's objects: kept in memory, above the real
// ones, which it sees and leaves as they are. Forgotten with the check.
//
// Used by one job at a time, which lends it the real ones.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "apis/persistence/object_store.h"

namespace cloister {

class ObjectOverlay : public Objects {
 public:
  // Of objects and names; beyond, writing fails with kQuotaExceeded.
  static constexpr std::size_t kBytesMax = std::size_t{32} << 20;

  // Before each use; `below` must live through it. Null: the app has nothing.
  void Lend(ObjectStore* below) { below_ = below; }

  Result<std::optional<QuotaRefusal>> Write(ObjectWriter& object, std::uint64_t now_ms,
                                            const PersistenceQuota& quota) override;
  Result<ObjectPiece> Read(const Sha256& id, std::uint64_t offset, std::uint32_t count) override;
  Result<std::optional<ObjectInfo>> Stat(const Sha256& id) override;
  Result<ObjectDeletion> Delete(const Sha256& id) override;
  Result<NameWritten> Put(const NameWish& wish, const PersistenceQuota& quota) override;
  Result<std::optional<Sha256>> Get(std::string_view name) override;
  Result<bool> DeleteName(std::string_view name, bool with_object) override;
  Result<NamePage> ListNames(std::string_view prefix, std::string_view after,
                             std::size_t limit) override;
  Result<ObjectPage> ListObjects(const std::optional<Sha256>& after, std::size_t limit) override;
  // Those below with the difference that the overlay makes.
  Result<ObjectTotals> Totals() override;

 private:
  struct Here {
    std::string data;
    std::uint64_t created_ms = 0;
  };

  Result<bool> IsNamed(const Sha256& id);
  Result<void> Take(std::size_t bytes);
  Result<void> Remove(const Sha256& id, std::uint64_t size);

  ObjectStore* below_ = nullptr;
  std::map<Sha256, Here> objects_;
  std::set<Sha256> deleted_;  // of those below
  // None: deleted.
  std::map<std::string, std::optional<Sha256>, std::less<>> names_;
  std::size_t used_ = 0;
  std::int64_t bytes_change_ = 0;
  std::int64_t objects_change_ = 0;
  std::int64_t names_change_ = 0;
};

}  // namespace cloister
