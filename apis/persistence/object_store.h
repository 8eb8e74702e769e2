#pragma once

// One app's objects and names: small objects as rows of DIRECTORY/objects.db, larger ones as files,
// or on a server (remote_objects.h), with which the store itself does not speak.
//
// Changes are made in transactions of as many calls as there are (Begin, calls, Commit), with the
// totals that quotas look at in the same transaction. A file is there before its row, and goes
// after it. Two node processes may have the same app's store open, while one follows the other:
// files are made and removed only under the database's write lock. Blocking; an object of it is
// used by one thread at a time. Errors: as apis/backends/sqlite.h says.
//
// What the server may have beside the objects of rows is in a table of its own: an object is noted
// there before it is sent (BeginUpload) until its row is there, and again from when its row goes
// until the server has removed it (LeftOnServer, Forget). A writer that has died is found by its
// temporary file.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/backends/sqlite.h"
#include "apis/persistence/object_files.h"
#include "apis/persistence/objects.h"

namespace cloister {

// What `cloister verify` found of one object, or of the store as a whole.
struct ObjectDamage {
  std::optional<Sha256> id;
  std::string what;
};

struct ObjectVerification {
  // The most damages that are listed; all are counted.
  static constexpr std::size_t kListedMax = 1000;

  std::uint64_t objects = 0;
  std::uint64_t damages = 0;
  std::vector<ObjectDamage> found;

  void Note(ObjectDamage damage) {
    ++damages;
    if (found.size() < kListedMax)
      found.push_back(std::move(damage));
  }
};

// What there is to do for an object whose goal is the server.
struct UploadPlan {
  enum class Kind { kThere, kRefused, kSend };
  Kind kind = Kind::kSend;
  Sha256 id;
  std::optional<QuotaRefusal> refused = {};
};

class ObjectStore : public Objects {
 public:
  enum class Use { kWrite, kRead };
  // Reads and checks an object that a server has; kProtocol: it is not what was written.
  using RemoteCheck = std::function<Result<void>(const RemotePart&)>;
  // kSweep: removes what a write that died has left; once a process.
  enum class Leftovers { kKeep, kSweep };

  // A store for writing is made where there is none.
  static Result<std::unique_ptr<ObjectStore>> Open(const std::string& directory, Use use,
                                                   Leftovers leftovers = Leftovers::kKeep);
  // Whether the app has one.
  static bool Exists(const std::string& directory);

  // Of a store for writing. Every change is between these two; after an error of one of them, or of
  // Commit, there is no transaction any more and nothing of it was done.
  Result<void> Begin();
  Result<void> Commit();
  void Rollback();

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
  Result<ObjectTotals> Totals() override;

  // In a transaction: notes that `object` is about to be sent, and gives it its mark. What is under
  // way counts for the quota.
  Result<UploadPlan> BeginUpload(ObjectWriter& object, const PersistenceQuota& quota);
  // In a transaction: what the server is to remove, at most `most` of it.
  Result<std::vector<RemoteObject>> LeftOnServer(std::size_t most);
  // In a transaction: the server has removed them.
  Result<void> Forget(const std::vector<RemoteObject>& removed);
  // Whether there may be something for LeftOnServer since this was last asked.
  bool TakeLeft() { return std::exchange(left_, false); }
  // In a transaction: all that the server has of the app, and what is under way, is left.
  Result<void> LeaveAll();

  // Names that refer to it, up to kObjectListMax + 1 of them.
  Result<std::vector<std::string>> NamesOf(const Sha256& id);

  // Checks the objects that follow `after`, about `bytes` of them. The last one that was checked;
  // none: there are no more.
  Result<std::optional<Sha256>> Verify(const std::optional<Sha256>& after, std::uint64_t bytes,
                                       ObjectVerification& report, const RemoteCheck& remote = {});
  // The totals against what is there, in one moment.
  Result<void> VerifyTotals(ObjectVerification& report);

 private:
  ObjectStore(std::string directory, Database db)
      : directory_(std::move(directory)), db_(std::move(db)) {}

  Result<ObjectPiece> ReadOnce(const Sha256& id, std::uint64_t offset, std::uint32_t count);
  // What is wrong with an object; empty: nothing, or it is not there.
  Result<std::string> FindDamage(const Sha256& id, const RemoteCheck& remote);
  Result<void> Migrate();
  Result<bool> HasUploads();
  static Result<ObjectPiece> ReadPart(const Sha256& id, std::uint64_t size, std::string_view chunks,
                                      std::uint64_t offset, std::uint32_t count);
  static Result<void> CheckRemote(const Sha256& id, std::uint64_t size, std::string_view chunks,
                                  const RemoteCheck& remote);
  // What `object` was noted with becomes its row. False: it is not noted any more.
  Result<bool> TakeUpload(const ObjectWriter& object);
  Result<void> Sweep();
  Result<bool> HasFile(const Sha256& id);
  Result<void> Link(ObjectWriter& object);
  Result<bool> Has(const Sha256& id);
  Result<bool> IsNamed(const Sha256& id);
  Result<void> DeleteRow(const Sha256& id);
  Result<ObjectTotals> ReadTotals();
  // Files whose rows are gone, or never came.
  void RemoveFiles(const std::vector<Sha256>& ids);

  std::string directory_;
  Database db_;
  ObjectFiles files_;
  std::optional<Transaction> transaction_;
  // Of the transaction.
  ObjectTotals totals_;
  bool totals_changed_ = false;
  std::vector<Sha256> linked_;
  std::vector<Sha256> removed_;
  bool left_ = false;
};

}  // namespace cloister
