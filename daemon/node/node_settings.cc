#include "daemon/node/node_settings.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "apis/backends/s3.h"
#include "config/cache_address.h"
#include "config/module_rules.h"
#include "config/objects_address.h"
#include "config/query_address.h"

namespace cloister {
namespace {

std::string FirstLine(int fd) {
  std::array<char, 1024> bytes{};
  const ssize_t size = ::pread(fd, bytes.data(), bytes.size(), 0);
  const std::string_view text(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return std::string(text.substr(0, text.find_first_of("\r\n")));
}

}  // namespace

ServerSettings FrontSettings(const Settings& settings) {
  const HttpSettings& http = settings.http;
  ServerSettings server;
  server.limits.head_max = http.head_max.count;
  server.limits.headers_max = http.headers_max;
  server.connections_max = http.connections_max;
  server.connections_per_address_max = http.connections_per_address_max;
  server.trusted_proxies = http.trusted_proxies;
  server.head_timeout = http.header_timeout;
  server.idle_timeout = http.idle_timeout;
  server.body_window = http.body_timeout;
  server.body_timeout = http.body_total_timeout;
  server.response_window = http.body_timeout;
  server.response_rate_min_per_second = http.min_rate;
  server.body_memory_max = http.body_memory;
  server.response_memory_max = http.response_memory;
  server.response_memory_all_max = http.response_memory_node_max;
  server.response_memory_account_max = http.response_memory_app_max;
  server.response_file_max = http.response_spool_max;
  server.spool_max = http.body_spool_node_max;
  server.spool_account_max = http.body_spool_app_max;
  server.spool_dir = settings.node.state_dir;
  return server;
}

ServerSettings AdminServerSettings(const Settings& settings) {
  ServerSettings server;
  server.connections_max = 1024;
  // What operators send to apps' objects.
  server.spool_max = settings.http.body_spool_node_max;
  server.spool_account_max = settings.http.body_spool_node_max;
  server.spool_dir = settings.node.state_dir;
  return server;
}

const char* DatabaseEngine(const Settings& settings) {
  const std::optional<SqlServerAddress> server = QueryServerAddress(settings);
  if (!server)
    return "sqlite";
  return server->kind == SqlServerKind::kMariadb ? "mariadb" : "postgresql";
}

SupervisorOptions WorkersOptions(const Settings& settings, const UniqueFd& query_password) {
  const WorkerSettings& workers = settings.workers;
  SupervisorOptions options;
  options.spawner.blanks = workers.blanks;
  options.spawner.module_rules = RenderModuleRules(settings.modules);
  options.worker.boot_timeout = workers.boot_timeout;
  options.pool.idle_timeout = workers.idle_timeout;
  options.query_idle = settings.query.idle_timeout;
  if (std::optional<SqlServerAddress> server = QueryServerAddress(settings)) {
    if (query_password.valid())
      server->password = FirstLine(query_password.get());
    // So that an app can tell which SQL to say before it says any (cloister.db.engine).
    options.spawner.environment =
        std::string("CLOISTER_QUERY_ENGINE=") + DatabaseEngine(settings) + '\0';
    options.query_roles = std::make_shared<const QueryRoles>(
        std::move(*server), settings.node.state_dir, settings.query.connections);
  }
  return options;
}

RedisOptions CacheOptions(const Settings& settings, Loop& loop, const UniqueFd& password) {
  RedisOptions options;
  options.address = CacheAddress(settings);
  if (password.valid() && !settings.cache.url.empty())
    options.address.password = FirstLine(password.get());
  options.at_turn_end = [&loop](std::function<void()> task) { loop.AtTurnEnd(std::move(task)); };
  options.command_timeout = settings.cache.timeout;
  options.connect_timeout = 2 * settings.cache.timeout;
  options.commands_max = 65536;
  options.bytes_max = MiB(256);
  return options;
}

std::unique_ptr<ObjectServer> MakeObjectServer(const Settings& settings, const UniqueFd& secret) {
  std::optional<S3Address> address = ObjectServerAddress(settings);
  if (!address)
    return nullptr;
  if (secret.valid())
    address->secret_key = FirstLine(secret.get());
  return std::make_unique<S3Server>(std::move(*address));
}

}  // namespace cloister
