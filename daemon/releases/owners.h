#pragma once

// Creating and deleting tenants and apps: rows, routes, workers, files.
//
// Rows go first, in one transaction; then the routes, then the workers as they finish what they
// have, then the files. What a crash leaves of these goes after the next start. Runs on the loop
// thread.

#include <functional>
#include <string>
#include <vector>

#include "apis/base/clock.h"
#include "daemon/calls/call_server.h"
#include "daemon/logs/log_store.h"
#include "daemon/releases/catalog.h"
#include "daemon/releases/images.h"
#include "daemon/releases/problem.h"
#include "daemon/releases/quotas.h"
#include "daemon/router/router.h"
#include "daemon/store/state.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

enum class DeleteMode { kEmptyOnly, kWithApps };

class Owners {
 public:
  struct Parts {
    const Clock& clock;
    State& state;
    Images& images;
    LogStore& logs;
    WorkerSupervisor& workers;
    Router& router;
    CallServer& calls;
    Catalog& catalog;
    Quotas& quotas;
  };

  explicit Owners(const Parts& parts) : parts_(parts) {}

  // kNameInvalid, kTenantExists.
  void CreateTenant(const std::string& name, std::string who,
                    std::function<void(Outcome<TenantRow>)> done);
  // kTenantNotFound, kTenantNotEmpty, kDeployInProgress.
  void DeleteTenant(const std::string& name, DeleteMode mode, std::string who,
                    std::function<void(Outcome<Done>)> done);
  // kNameInvalid, kTenantNotFound, kAppExists.
  void CreateApp(const std::string& tenant, const std::string& name, std::string who,
                 std::function<void(Outcome<AppRow>)> done);
  // kAppNotFound, kDeployInProgress.
  void DeleteApp(const AppName& name, std::string who, std::function<void(Outcome<Done>)> done);
  // What is left of an app whose rows a former node has deleted: on servers, then its directory.
  void RemoveOrphan(AppId app);

 private:
  Change ChangeBy(std::string who) const;
  void OnDeleted(const std::vector<AppName>& apps, bool deleted);
  // The rows are gone: takes the app off the node.
  void TakeOff(const AppEntry& app);
  void RemoveFiles(AppId app);
  void RemoveClosed(AppId app);

  Parts parts_;
};

}  // namespace cloister
