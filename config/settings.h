#pragma once

// The operator's settings, typed: one struct per section of the file, each field with its default.
//
// schema.def has a row for every field (key, unit, range, sentence). A default is the member's
// initialiser and stands nowhere else. Plain data: read once at start, never changed afterwards.

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/ip_address.h"
#include "apis/base/log.h"
#include "apis/base/units.h"
#include "apis/cache/quota.h"
#include "apis/config/quota.h"
#include "apis/entrypoint/quota.h"
#include "apis/logging/quota.h"
#include "apis/persistence/quota.h"
#include "apis/query/quota.h"
#include "sandbox/limits.h"

namespace cloister {

// [node]
struct NodeSettings {
  std::string state_dir = "/var/lib/cloister";
  std::string base_domain = "localhost";
  std::uint32_t uid_base = 1900000000;
  std::uint32_t uid_count = 65536;
  std::vector<std::string> require;  // of "cgroups", "worker_uids"
  LogLevel log_level = LogLevel::kInfo;
  Millis open_timeout{600000};
  Millis stop_grace{30000};
};

// [http]
struct HttpSettings {
  std::vector<std::string> listen = {"127.0.0.1:8080"};
  Millis header_timeout{10000};
  Millis body_timeout{30000};
  Millis idle_timeout{75000};
  Millis body_total_timeout{600000};
  Bytes head_max = KiB(32);
  std::uint32_t headers_max = 100;
  Bytes body_max = MiB(32);
  Bytes body_memory = KiB(64);
  Bytes body_spool_node_max = GiB(4);
  Bytes body_spool_app_max = MiB(512);
  Bytes response_memory = MiB(1);
  Bytes response_memory_node_max = GiB(1);
  Bytes response_memory_app_max = MiB(64);
  Bytes response_spool_max = MiB(64);
  Bytes min_rate = KiB(1);  // per second
  std::uint32_t connections_max = 16384;
  std::uint32_t connections_per_address_max = 1024;
  std::vector<IpNetwork> trusted_proxies;  // empty: nobody is one
};

// [admin]
struct AdminSettings {
  std::string socket;  // empty: see AdminSocketPath
  std::string group = "cloister";
  std::string health_listen;  // empty: none
};

// [workers]
struct WorkerSettings {
  std::uint32_t blanks = 2;
  Millis boot_timeout{10000};
  Millis idle_timeout{300000};
  std::uint32_t zygote_spawns_max = 1000;
  Millis zygote_age_max{3600000};
};

// [limits]: what the requests of one app may use, and each of its workers.
struct LimitSettings : EntrypointQuota {
  WorkerLimits worker;
};

// [releases]: what is kept of one app's former ones.
struct ReleaseSettings {
  std::uint32_t kept_max = 100;
  Millis kept_age{0};  // 0: for ever
  std::uint32_t snapshots_max = 5;
  Bytes snapshot_size = MiB(256);
};

// [modules]: which modules of the platform apps may import.
struct ModuleSettings {
  std::vector<std::string> deny;   // each with its submodules; "*": all
  std::vector<std::string> allow;  // exceptions: the longest name decides
};

// [log]: what is kept of one app's events.
struct LogSettings : LoggingQuota {
  bool journal = false;  // apps' events, too
};

// [cache]: what one app may use of it, and which server it is.
struct CacheSettings : CacheQuota {
  std::string url;            // empty: the node starts a server of its own
  std::string password_file;  // empty: no password
  Millis timeout{500};
  Bytes memory = GiB(1);  // of the server of our own
  std::string server = "/usr/bin/redis-server";
  bool near = true;  // with a `url` only where the file says so
};

// [persistence]: what one app may keep, and where larger objects are.
struct PersistenceSettings : PersistenceQuota {
  std::string server;  // empty: in files of the node
  std::string access_key;
  std::string secret_key_file;
  std::string ca_file;  // empty: the system's
  Millis timeout{10000};
};

// [query]: what one app may use of its database.
struct QuerySettings : QueryQuota {
  std::string server;         // empty: SQLite, in files of the node
  std::string password_file;  // empty: no password
  std::uint32_t connections = 5;
  Millis idle_timeout{30000};
};

struct Settings {
  NodeSettings node;
  HttpSettings http;
  AdminSettings admin;
  WorkerSettings workers;
  LimitSettings limits;
  ReleaseSettings releases;
  ModuleSettings modules;
  LogSettings log;
  ConfigQuota config;
  CacheSettings cache;
  PersistenceSettings persistence;
  QuerySettings query;
};

// Where root's node on the default state directory has its admin socket, so that `cloister` finds
// it. Other nodes, of which there may be many, each have one of their own.
inline constexpr std::string_view kRuntimeDirectory = "/run/cloister";
inline constexpr std::string_view kDefaultAdminSocket = "/run/cloister/admin.sock";

// Where the admin socket is: the setting, or the default for a node that `uid` starts.
inline std::string AdminSocketPath(const Settings& settings, uid_t uid = ::geteuid()) {
  if (!settings.admin.socket.empty())
    return settings.admin.socket;
  if (uid == 0 && settings.node.state_dir == NodeSettings().state_dir)
    return std::string(kDefaultAdminSocket);
  return settings.node.state_dir + "/admin.sock";
}

}  // namespace cloister
