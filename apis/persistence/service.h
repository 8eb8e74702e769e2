#pragma once

// The node's side of persistence: calls become work on their app's store, on threads.
//
// An app's store is opened when it is first used, and closed again when many others are. It has two
// lanes, each with a connection and one job at a time: one that writes, and one that reads and has
// not to wait for it. A job takes all calls that wait: writers at the same time share a
// transaction, and its sync. Answers come after the commit (I11). Objects that come in pieces are
// streams (streams.h). On the overlay (CallOrigin::overlay) nothing is written but memory.
//
// Where larger objects are on a server (remote_objects.h), what speaks with it runs beside the
// lanes, on threads of its own: sending, between the transaction that notes it and the one with the
// row; reading, after the lane has said what of which object; and removing what is left there.
//
// Runs on the loop thread.

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "apis/base/clock.h"
#include "apis/persistence/object_overlay.h"
#include "apis/persistence/object_store.h"
#include "apis/quota/quota.h"
#include "apis/service.h"

namespace cloister {

class ObjectStreams;

// What came of one piece of work.
struct ObjectReply {
  std::string bytes;         // of EncodeReply
  std::string_view refused;  // the quota that it was refused for, if any
  std::string damage = {};   // of an object that is not what was written
  std::optional<Error> error = {};
};

// Runs on a thread.
using ObjectWork = std::function<Result<ObjectReply>(Objects&)>;
using ObjectStoreWork = std::function<Result<ObjectReply>(ObjectStore&)>;
// Runs on the loop thread, exactly once unless the service ends before.
using ObjectDone = std::function<void(ObjectReply)>;

// Failures as an app sees them.
ObjectReply FailedReply(const Error& error);
ObjectReply RefusedReply(const QuotaRefusal& refusal);

struct ObjectUse {
  ObjectTotals totals;
  std::uint64_t writes = 0;  // of those that may come at once
};

// What came of an object that an operator keeps.
struct ObjectKept {
  Sha256 id;
  std::uint64_t size = 0;
  std::optional<QuotaRefusal> refused = {};  // then nothing was kept
};

class PersistenceService : public ApiService {
 public:
  // Stores that are open at one time, but for those in use.
  static constexpr std::size_t kOpenMax = 128;

  struct Parts {
    const Clock& clock;
    CallAnswers& answers;
    // Runs the job on a thread, then what it gave on the loop thread. Jobs of one app take turns
    // with those of others, and may run at the same time.
    std::function<void(AppId, std::function<std::function<void()>()>)> run;
    // Where apps' directories are, each named by its number.
    std::string apps_directory;
    // Null: larger objects are files.
    RemoteObjects* remote = nullptr;
    // As `run`, for what waits for the server.
    std::function<void(AppId, std::function<std::function<void()>()>)> run_remote = {};
  };

  // `parts.clock`, `parts.answers` and `parts.remote` must outlive the object, and so must what
  // runs jobs. At its end no call of the server goes on.
  explicit PersistenceService(Parts parts);
  PersistenceService(const PersistenceService&) = delete;
  PersistenceService& operator=(const PersistenceService&) = delete;
  ~PersistenceService() override;

  Result<void> Serve(CallId id, const CallOrigin& origin, CallNumber number,
                     std::string_view args) override;
  void OnCallerGone(CallerId caller) override;
  void OnOverlayEnded(OverlayId overlay) override;
  void OnAppDeleted(AppId id) override;
  void WhenClosed(AppId id, std::function<void()> done) override;

  // What the app has; nothing is made for an app that has nothing.
  void Use(AppId app, std::function<void(Result<ObjectUse>)> done);
  // For operators, who are not metered. `work` runs on a thread, as calls do; a change only with
  // kChange. `done` gets what it gave once that is on the disk.
  enum class Access { kRead, kChange };
  void Do(AppId app, Access access, std::function<Result<std::string>(Objects&)> work,
          std::function<void(Result<std::string>)> done);
  // A part of an object, for the node's own answers: as a call of a worker that is on that overlay
  // would get it. Never answers from within this call.
  struct PieceWish {
    AppId app;
    OverlayId overlay = 0;
    Sha256 id;
    std::uint64_t offset = 0;
    std::uint32_t count = 0;  // 0: only its size
  };
  void ReadPiece(const PieceWish& wish, std::function<void(Result<ObjectPiece>)> done);
  // Keeps what `fill` writes, on a thread, and has `name`, unless it is empty, refer to it.
  struct KeepWish {
    std::function<Result<void>(ObjectWriter&)> fill;
    std::string name = {};
    PersistenceQuota quota = {};
  };
  void Keep(AppId app, KeepWish wish, std::function<void(Result<ObjectKept>)> done);
  // Reads all that the app has against its hashes, a slice after the other.
  void Verify(AppId app, std::function<void(Result<ObjectVerification>)> done);

 private:
  friend class ObjectStreams;
  enum class LaneKind { kWrite, kRead };

  struct Task {
    ObjectWork work = {};
    ObjectStoreWork store_work = {};  // instead, of the lane that writes
    ObjectDone done;
    std::shared_ptr<ObjectOverlay> overlay = {};  // null: the real objects
    std::size_t bytes = 0;                        // of what it writes
    std::optional<PersistenceQuota> quota = {};
  };
  using Batch = std::vector<Task>;

  struct Lane {
    std::deque<Task> waiting;
    std::size_t bytes = 0;  // of these
    bool running = false;
  };

  // Lent to one job of each lane at a time.
  struct Stores {
    std::unique_ptr<ObjectStore> write;
    std::unique_ptr<ObjectStore> read;
  };

  struct App {
    std::shared_ptr<Stores> stores;  // null: not open
    bool opening = false;
    bool swept = false;
    Lane write;
    Lane read;
    std::list<AppId>::iterator place;  // in open_, while stores are
    std::optional<TokenBucket> writes;
    QuotaNotice damage;
    QuotaNotice trouble;
    ObjectTotals totals;  // as of the last commit
    // The server may have what no row wants.
    bool left = false;
    bool sweeping = false;
    MonotonicTime sweep_at;  // not before

    bool idle() const {
      return !opening && !write.running && !read.running && write.waiting.empty() &&
             read.waiting.empty();
    }
  };

  struct BatchResult {
    std::vector<ObjectReply> replies;
    std::optional<ObjectTotals> totals;
    std::string trouble = {};  // why nothing was written
    bool left = false;         // as of App
  };

  // A part of an object on its way to whoever asked for it.
  struct Look {
    PieceWish wish;
    std::shared_ptr<ObjectOverlay> overlay;
    std::function<ObjectReply(ObjectPiece)> answer;  // on a thread
    ObjectDone done;
    ObjectPiece piece = {};
    std::string mark = {};  // of what was damaged before
    int looks = 0;
  };

  // What came of a look at the server.
  struct Fetched {
    bool again = false;  // the lane is to be asked anew
    ObjectReply reply = {};
  };
  // What the server has removed of what was left there.
  struct Swept {
    std::vector<RemoteObject> removed = {};
    std::optional<Error> error = {};
    bool more = false;
  };

  // An object on its way to the server.
  struct Sending {
    AppId app;
    std::shared_ptr<ObjectWriter> writer;
    UploadPlan plan = {};
    // What came of it; the writer too if the object is there, or was sent.
    std::function<void(Result<UploadPlan>, std::shared_ptr<ObjectWriter>)> done;
  };

  // By Parts::run, and counted.
  void Run(AppId id, std::function<std::function<void()>()> job);
  // By Parts::run_remote.
  void RunRemote(AppId id, std::function<std::function<void()>()> job);
  std::function<std::function<void()>()> Counted(AppId id,
                                                 std::function<std::function<void()>()> job);
  void EndJob(AppId id);
  std::string DirectoryOf(AppId app) const;
  std::uint64_t NowMs() const;
  // Work that answers a call.
  void Queue(const CallOrigin& origin, CallId id, LaneKind lane, ObjectWork work,
             std::size_t bytes = 0);
  void Add(AppId id, LaneKind kind, Task task);
  void Advance(AppId id);
  void Open(AppId id, App& app);
  void OnOpened(AppId id, const Result<std::shared_ptr<Stores>>& opened);
  void FailAll(Lane& lane, const Error& error);
  void RunLane(AppId id, App& app, LaneKind kind);
  void OnBatch(AppId id, LaneKind kind, const std::shared_ptr<Batch>& batch, BatchResult result);
  static BatchResult RunWrites(ObjectStore& store, Batch& batch);
  static BatchResult RunReads(ObjectStore& store, Batch& batch);
  void CloseUnused();

  // Answers what goes beyond the rate of writes; whether it did.
  bool RefuseRate(CallId id, const CallOrigin& origin);
  void NoteUse(AppId id, const App& app, const Batch& batch);
  void Deliver(AppId app, CallId id, ObjectReply reply);
  // Of an object that is not what was written; empty: none is.
  void NoteDamage(AppId app, std::string_view damage);

  Result<void> ServeWrite(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> ServeRead(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> ServeStat(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> ServeDelete(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> ServePut(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> ServeGet(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> ServeDeleteName(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> ServeListNames(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> ServeListObjects(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> ServeUsage(CallId id, const CallOrigin& origin);

  // Reads in the lane, and then from the server if it has what is there.
  struct Verification;
  void VerifyOn(const std::shared_ptr<Verification>& walk);
  void LookAt(const std::shared_ptr<Look>& look);
  void Fetch(const std::shared_ptr<Look>& look);
  static Fetched FetchNow(RemoteObjects* remote, Look& look);
  void OnFetched(const std::shared_ptr<Look>& look, Fetched fetched);
  // A finished object whose goal is the server goes there.
  void Send(AppId app, std::shared_ptr<ObjectWriter> writer, const PersistenceQuota& quota,
            std::function<void(Result<UploadPlan>, std::shared_ptr<ObjectWriter>)> done);
  void SendNow(const std::shared_ptr<Sending>& sending);
  void OnNotSent(const Sending& sending, const Error& error);
  // A finished one goes to the server if it is to, and is stored, and named.
  void SendKept(AppId app, const KeepWish& wish, const std::shared_ptr<ObjectWriter>& writer,
                const std::function<void(Result<ObjectKept>)>& done);
  void StoreKept(AppId app, const KeepWish& wish, std::shared_ptr<ObjectWriter> writer,
                 std::function<void(Result<ObjectKept>)> done);
  // Has the server remove what is left there.
  void Sweep(AppId id);
  void RemoveLeft(AppId id, const std::shared_ptr<std::vector<RemoteObject>>& left);
  void ForgetRemoved(AppId id, const std::shared_ptr<Swept>& swept);
  void EndSweep(AppId id, bool more, const std::optional<Error>& error);
  // Of a deleted app: has the server remove all. False: that was begun before, or there is none.
  bool Purge(AppId id);
  void NoteServerTrouble(const Error& error);
  // Null: there is no server.
  ObjectStore::RemoteCheck RemoteCheckOf(AppId app) const;

  // Null: there is none of that number, or none any more.
  std::shared_ptr<ObjectOverlay> FindOverlay(OverlayId overlay) const;
  ObjectWriter::Goal GoalOfLarge() const {
    return parts_.remote != nullptr ? ObjectWriter::Goal::kServer : ObjectWriter::Goal::kFile;
  }
  // Of an app's directory; of an overlay: in memory.
  std::shared_ptr<ObjectWriter> MakeWriter(const CallOrigin& origin) const;
  // Stores a finished object.
  // Of more than a row has: hashed and written beside the lanes, then stored.
  void WriteLarge(const CallOrigin& origin, CallId id, std::shared_ptr<ObjectWriter> writer,
                  std::shared_ptr<const std::string> data);
  void WriteFinished(const CallOrigin& origin, CallId id, std::shared_ptr<ObjectWriter> writer);
  void StoreFinished(const CallOrigin& origin, CallId id, std::shared_ptr<ObjectWriter> writer);
  // Ends it on a thread: that may take a while.
  void Drop(AppId app, std::shared_ptr<ObjectWriter> writer);

  Parts parts_;
  std::unordered_map<AppId, App> apps_;
  std::list<AppId> open_;                        // the last used one first
  std::unordered_map<AppId, std::size_t> jobs_;  // of apps that have some
  std::unordered_multimap<AppId, std::function<void()>> closing_;
  std::unordered_set<AppId> deleted_;  // nothing of them is opened again
  std::unordered_set<AppId> purged_;   // of these
  QuotaNotice server_trouble_;
  std::unordered_map<OverlayId, std::shared_ptr<ObjectOverlay>> overlays_;
  std::unique_ptr<ObjectStreams> streams_;
};

}  // namespace cloister
