#pragma once

// Makes worker processes: keeps a few blanks from the zygote in stock and turns one into a worker.
//
//   order + blank -> PlaceWorker -> WorkerPlaced -> inbox, channel, query -> HandOver -> Spawned
//
// Owned by the supervisor; runs on the loop thread. The zygote may die and be replaced at any time:
// blanks in stock stay good, and orders wait for the next zygote until they time out. A blank may
// die at any time too: its order waits for another, as long as there is hope. What fails (a blank,
// a zygote) is tried again later and later.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/names.h"
#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/messages.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"
#include "daemon/workers/inbox.h"
#include "daemon/workers/keeper_link.h"
#include "sandbox/limits.h"

namespace cloister {

struct SpawnOrder {
  WorkerJob job = WorkerJob::kServe;
  AppId app_id = {};
  std::string app;  // TENANT/APP
  std::string version;
  std::string entry;
  WorkerLimits limits;
  std::string group;  // cgroup of the app, [a-z0-9-]+; its ceilings grow with each worker;
                      // of limits.cpu_millis 0: it has no word about the CPU of all
  std::shared_ptr<const UniqueFd> image = {};               // none for a query process
  std::vector<std::shared_ptr<const UniqueFd>> files = {};  // of a query process
};

// A worker that was handed everything. Its first frame on the channel says how its boot went; on
// `control` it says when the hand-over itself failed (BlankRefused), and closes it otherwise.
struct SpawnedWorker {
  WorkerId id;
  std::uint32_t pid = 0;
  UniqueFd control;
  UniqueFd channel;
  UniqueFd query;  // the far end of its query channel, which its query process is to have; of a
                   // query process: the node's end of its control socket
  Inbox inbox;
};

struct SpawnerOptions {
  std::size_t blanks = 2;   // in stock
  Millis timeout{10000};    // from the order to the hand-over
  Millis retry_after{100};  // after the first failure; doubles with each more in a row
  Millis retry_max{5000};
  std::string module_rules = {};  // of every worker; config/module_rules.h
  std::string environment = {};   // the same: KEY=VALUE, each ended by a NUL
};

class Spawner : private FdWatch::Handler {
 public:
  class Client {
   public:
    virtual ~Client() = default;
    // Once for each order, never from within Spawn(). kDeadlineExceeded: no blank in time;
    // kUnavailable: the host refused one, or blanks die again and again. The message has the
    // reason.
    virtual void OnSpawned(Result<SpawnedWorker> spawned) = 0;
  };

  Spawner(Loop& loop, WorkerControl& control, SpawnerOptions options);
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;
  ~Spawner() override;

  void SetZygote(UniqueFd socket);
  // A client has one order at a time.
  void Spawn(SpawnOrder order, Client& client);
  // The client's order is forgotten: no call comes.
  void Cancel(const Client& client);

  void OnWorkerPlaced(WorkerId worker, std::string_view error);
  // False: it is none of those that are not handed over yet. `status` as of waitpid.
  bool OnWorkerExited(WorkerId worker, std::uint32_t status);

  std::size_t stock() const { return stock_.size(); }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Blank {
    WorkerId id;
    std::uint32_t pid = 0;
    UniqueFd control;
  };
  struct Waiting {
    SpawnOrder order;
    Client* client = nullptr;  // null: cancelled
    MonotonicTime deadline;
    Blank blank;  // valid while placing
  };
  struct Exit {
    WorkerId worker;
    std::uint32_t status = 0;
  };

  void OnReadable() override;
  void TakeFromZygote(Packet packet);
  void TakeBlank(Blank blank);
  void LoseZygote();
  // Asks for blanks until stock and orders are served; without a zygote for one.
  void WantBlanks();
  void PlaceNext();
  void Place(Waiting order, Blank blank);
  // `how` it ended, unless it said so itself.
  void OnBlankDead(const Blank& blank, std::string how);
  // The order is as good as new: another blank will do.
  void Retry(Waiting order, std::string how);
  // Nothing is asked for until the pause is over, which is returned.
  Millis BackOff(std::string why);
  void FailOldest(const Error& why);
  void FailAll(const Error& why);
  Error TooLate() const;
  void Tick();
  void ArmTick();
  Result<SpawnedWorker> HandOverTo(Waiting& waiting, std::string_view place_error) const;

  Loop& loop_;
  WorkerControl& control_;
  SpawnerOptions options_;
  UniqueFd zygote_;
  std::unique_ptr<FdWatch> zygote_watch_;
  std::uint32_t asked_ = 0;     // blanks that the present zygote still owes
  std::uint32_t failures_ = 0;  // in a row: until a hand-over, or a long time without one
  std::uint32_t deaths_ = 0;    // of blanks among them
  MonotonicTime failed_at_;     // the last one
  MonotonicTime ask_again_;     // not before
  std::string last_failure_;    // why; empty: no row
  std::deque<Exit> strangers_;  // the last exits of whom we do not know (yet)
  std::vector<Blank> stock_;
  std::deque<Waiting> waiting_;   // for a blank
  std::vector<Waiting> placing_;  // for WorkerPlaced
  Timer tick_;
};

}  // namespace cloister
