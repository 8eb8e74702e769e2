#pragma once

// One function per route of the admin API. routes.def says which is called for what.
//
// A handler answers through `reply`, at once or later. It validates everything it takes from the
// request: routing has checked the path's shape and the query's names, nothing else. Runs on the
// loop thread; what is large is parsed by a job.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apis/base/time_text.h"
#include "apis/cache/service.h"
#include "apis/persistence/service.h"
#include "apis/query/packets.h"
#include "daemon/admin/body.h"
#include "daemon/admin/call.h"
#include "daemon/calls/call_server.h"
#include "daemon/releases/releases.h"
#include "daemon/workers/query_roles.h"

namespace cloister {

class Backups;
class DatabaseShells;

// A word and its value, as `cloister status` shows it.
using StatusFact = std::pair<std::string, std::string>;

// What the handlers speak to.
struct AdminParts {
  const Clock& clock;
  State& state;
  Releases& releases;
  LogStore& logs;
  WorkerSupervisor& workers;
  Router& router;
  CallServer& calls;
};

struct AdminOptions {
  std::string version;  // of this program
  // Of the front end, for the URLs of apps: as a browser is to use it.
  std::string url_scheme = "http";
  std::uint16_t url_port = 80;
  WallTime started_at;
  ModuleSettings modules = {};                    // that apps may not import
  std::vector<std::string> unknown_modules = {};  // of these; FindUnknownModules
  // Further facts for /v1/status: what the host lacks, how many processes ... Asked each time.
  std::function<std::vector<StatusFact>()> facts = {};
  // What an app's entries in the cache take, and what became of its calls.
  std::function<CacheUse(AppId)> cache_use = {};
  // What an app last used of its database.
  std::function<QueryUse(AppId)> query_use = {};
  // An app's database, where they are on a server: its name without asking it, and what it has.
  // Both null: databases are files.
  std::function<void(AppId, std::function<void(Result<std::string>)>)> database_name = {};
  std::function<void(AppId, std::function<void(Result<ServerDatabase>)>)> database_on_server = {};
  // The objects of apps; null: none.
  PersistenceService* objects = nullptr;
  // Null: none are made.
  Backups* backups = nullptr;
  // Null: apps have no databases.
  DatabaseShells* shells = nullptr;
  std::string database_engine = {};  // of apps: as cloister.db.engine() says
};

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): its references have no default.
struct AdminContext {
  AdminParts parts;
  AdminOptions options;

  std::string UrlOf(const AppName& app) const;
};

// A request whose route is known.
struct AdminRequest {
  std::vector<std::string> names;  // what stands for the {} of the route's path
  Query query;
  std::shared_ptr<const TakenBody> body;
  std::string who;  // for the audit
};

using AdminHandler = void (*)(AdminContext& context, const AdminRequest& request,
                              const AdminReply& reply);

#define ROUTE(method, path, handler, body_max, ...) \
  void handler(AdminContext& context, const AdminRequest& request, const AdminReply& reply);
#include "daemon/admin/routes.def"
#undef ROUTE

// The app that names[0] and names[1] name. Null, and the request is answered, when there is none.
AppEntry* FindAppOrFail(AdminContext& context, const AdminRequest& request,
                        const AdminReply& reply);

}  // namespace cloister
