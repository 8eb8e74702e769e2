#pragma once

// The query processes of all apps, and what apps use of the quotas of SQL.
//
// Built by the supervisor; runs on the loop thread, and opens files in the background.

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "daemon/loop/background.h"
#include "daemon/workers/database_copies.h"
#include "daemon/workers/query_link.h"
#include "daemon/workers/query_process.h"
#include "daemon/workers/query_roles.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

struct QueryOptions {
  std::string state_dir;
  std::shared_ptr<const QueryRoles> roles = {};  // null: databases are files
  Millis idle{30000};
};

// The overlay of those who read a snapshot, whose number is ReleaseSpec::data then: they have a
// copy of it. No release that is checked has this one.
inline constexpr OverlayId kSnapshotOverlay = std::numeric_limits<OverlayId>::max();

class QueryProcesses : public DatabaseSource, private QueryProcess::Host {
 public:
  QueryProcesses(WorkerEnv& env, QueryOptions options);
  QueryProcesses(const QueryProcesses&) = delete;
  QueryProcesses& operator=(const QueryProcesses&) = delete;
  // All links must be gone.
  ~QueryProcesses() override;

  // For a worker of that release.
  std::unique_ptr<QueryLink> MakeLink(const ReleaseSpec& spec, UniqueFd far_end,
                                      QueryLink::Listener& listener);
  void SetQuota(AppId app, const QueryQuota& quota);
  // The app is gone, and its workers. `then`, later: nothing is made any more in its directory.
  void Forget(AppId app, std::function<void()> then);

  // Of the server that databases are on: why it could not be used when that was tried last. Empty:
  // it could, or was not tried yet.
  const std::string& server_trouble() const { return server_trouble_; }
  // On the server; only where databases are there.
  void FindOnServer(AppId app, std::function<void(Result<ServerDatabase>)> done);
  // The same without asking the server.
  void FindName(AppId app, std::function<void(Result<std::string>)> done);

  bool on_server() const override { return options_.roles != nullptr; }
  void Copy(DatabaseCopy copy, std::function<void(Result<Bytes>)> done) override {
    copies_.Add(std::move(copy), std::move(done));
  }

  // What the app was last known to use.
  QueryUse UseOf(AppId app) const;

 private:
  // App, overlay, generation of the database.
  using Key = std::tuple<std::uint64_t, OverlayId, std::uint64_t>;

  static Key KeyOf(const QueryOwner& owner) {
    return {owner.app.number, owner.overlay, owner.data};
  }
  void OpenFiles(QueryProcess& process) override;
  void OpenFilesNow(const Key& key);
  void OnFiles(const QueryOwner& owner, Result<QueryFiles> files);
  void NoteServer(const Result<void>& result);
  void Drop(AppId app, std::function<void()> then);
  void OnUse(QueryProcess& process, const QueryUse& use) override;
  void Say(QueryProcess& process, std::uint8_t level, std::string text) override;
  void DropCopy(const QueryOwner& owner, const std::string& copy) override;
  void OnLost(QueryProcess& process) override;
  void OnUnused(QueryProcess& process) override;

  WorkerEnv& env_;
  QueryOptions options_;
  std::map<Key, std::unique_ptr<QueryProcess>> processes_;
  std::uint64_t last_link_ = 0;
  std::string server_trouble_;
  std::shared_ptr<QueryProcesses*> self_;  // null inside once this is gone
  // Of an app whose process was lost: when what its server may still run is ended.
  struct Lost {
    explicit Lost(Loop& loop) : timer(loop) {}
    Timer timer;
    bool again = false;  // another one was lost meanwhile
  };

  void EndStatements(AppId app, Millis age);

  std::map<std::uint64_t, Lost> lost_;
  // What is being opened, by app; and what is done when nothing is any more.
  std::map<std::uint64_t, std::size_t> opening_;
  std::map<std::uint64_t, std::function<void()>> when_opened_;
  Background background_;
  // Of releases that are checked: a copy of a database takes its time, and others' statements wait
  // for no check.
  Background checks_;
  DatabaseCopies copies_;
};

}  // namespace cloister
