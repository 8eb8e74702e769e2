#pragma once

// The query processes of all apps, and what apps use of the quotas of SQL.
//
// Built by the supervisor; runs on the loop thread, and opens files in the background.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "daemon/loop/background.h"
#include "daemon/workers/query_link.h"
#include "daemon/workers/query_process.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

struct QueryOptions {
  std::string state_dir;
  Millis idle{30000};
};

class QueryProcesses : private QueryProcess::Host {
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
  // The app is gone, and its workers.
  void Forget(AppId app);

  // What the app was last known to use.
  QueryUse UseOf(AppId app) const;

 private:
  using Key = std::pair<std::uint64_t, OverlayId>;

  void OpenFiles(QueryProcess& process) override;
  void OnUse(QueryProcess& process, const QueryUse& use) override;
  void Say(QueryProcess& process, std::uint8_t level, std::string text) override;
  void OnUnused(QueryProcess& process) override;

  WorkerEnv& env_;
  QueryOptions options_;
  std::map<Key, std::unique_ptr<QueryProcess>> processes_;
  std::uint64_t last_link_ = 0;
  std::shared_ptr<QueryProcesses*> self_;  // null inside once this is gone
  Background background_;
};

}  // namespace cloister
