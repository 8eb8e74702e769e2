#pragma once

// From the operator's settings to what each part of the node takes.

#include <memory>
#include <string>

#include "apis/backends/object_server.h"
#include "apis/backends/redis.h"
#include "apis/base/unique_fd.h"
#include "config/settings.h"
#include "daemon/http/settings.h"
#include "daemon/loop/loop.h"
#include "daemon/workers/node_supervisor.h"

namespace cloister {

// Of apps, as cloister.db.engine() says it.
const char* DatabaseEngine(const Settings& settings);
ServerSettings FrontSettings(const Settings& settings);
// The admin socket serves few clients, whom the operator chose, with large bodies.
ServerSettings AdminServerSettings(const Settings& settings);
// `query_password`: as for CacheOptions.
SupervisorOptions WorkersOptions(const Settings& settings, const UniqueFd& query_password);
// `password`: a file whose first line is one; invalid: there is none. `loop` outlives what uses
// them.
RedisOptions CacheOptions(const Settings& settings, Loop& loop, const UniqueFd& password);

// Null: the settings name none. `secret`: as for CacheOptions.
std::unique_ptr<ObjectServer> MakeObjectServer(const Settings& settings, const UniqueFd& secret);

}  // namespace cloister
