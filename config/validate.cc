#include "config/validate.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "config/cache_address.h"
#include "config/module_rules.h"
#include "config/objects_address.h"
#include "config/query_address.h"
#include "config/values.h"

namespace cloister {
namespace {

constexpr std::array<std::string_view, 2> kRequirable = {"cgroups", "worker_uids"};

Error Wrong(std::string_view where, std::string why) {
  return Error{ErrorCode::kInvalidArgument, std::move(why)}.In(std::string(where));
}

bool IsNumericHost(const std::string& host, bool v6) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(v6 ? AF_INET6 : AF_INET, host.c_str(), address.data()) == 1;
}

bool IsLoopback(const std::string& host) {
  return host == "::1" || host.starts_with("127.");
}

bool IsDomainChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

// Lower-case labels of 1 to 63 characters, no dot at either end.
bool IsDomain(std::string_view domain) {
  std::size_t label = 0;
  for (const char c : domain) {
    if (c == '.' ? label == 0 : !IsDomainChar(c))
      return false;
    label = c == '.' ? 0 : label + 1;
    if (label > 63)
      return false;
  }
  return label > 0;
}

Result<void> ValidateNode(const NodeSettings& node) {
  if (!node.state_dir.starts_with('/'))
    return Wrong("[node] state_dir", "must be an absolute path, not '" + node.state_dir + "'");
  if (!IsDomain(node.base_domain))
    return Wrong("[node] base_domain", "'" + node.base_domain +
                                           "' is not a domain: lower-case labels of a-z, 0-9 and "
                                           "'-', joined by dots");
  if (node.uid_count > 0xffffffffU - node.uid_base)
    return Wrong("[node] uid_count", "uid_base + uid_count is larger than any user id");
  for (const std::string& name : node.require)
    if (std::find(kRequirable.begin(), kRequirable.end(), name) == kRequirable.end())
      return Wrong("[node] require", "unknown name '" + name + "'" + NameHint(name, kRequirable));
  return {};
}

Result<void> ValidateHttp(const HttpSettings& http) {
  for (const std::string& address : http.listen)
    if (Result<SocketAddress> parsed = ParseAddress(address); !parsed.ok())
      return std::move(parsed).error().In("[http] listen");
  if (http.body_memory > http.body_max)
    return Wrong("[http] body_memory",
                 "must not be larger than body_max (" + SizeText(http.body_max) + ")");
  if (http.body_max > http.body_spool_app_max)
    return Wrong("[http] body_max", "must not be larger than body_spool_app_max (" +
                                        SizeText(http.body_spool_app_max) + ")");
  if (http.body_total_timeout < http.header_timeout)
    return Wrong("[http] body_total_timeout", "must not be shorter than header_timeout (" +
                                                  DurationText(http.header_timeout) + ")");
  if (http.connections_per_address_max > http.connections_max)
    return Wrong(
        "[http] connections_per_address_max",
        "must not be larger than connections_max (" + std::to_string(http.connections_max) + ")");
  return {};
}

Result<void> ValidateAdmin(const AdminSettings& admin) {
  if (!admin.socket.empty() && !admin.socket.starts_with('/'))
    return Wrong("[admin] socket", "must be an absolute path, not '" + admin.socket + "'");
  if (admin.health_listen.empty())
    return {};
  Result<SocketAddress> health = ParseAddress(admin.health_listen);
  if (!health.ok())
    return std::move(health).error().In("[admin] health_listen");
  if (!IsLoopback(health.value().host))
    return Wrong("[admin] health_listen",
                 "must be a loopback address: there is no TLS on this listener");
  return {};
}

Result<void> ValidateCache(const CacheSettings& cache) {
  if (Result<RedisAddress> address = ParseCacheUrl(cache.url); !cache.url.empty() && !address.ok())
    return std::move(address).error().In("[cache] url");
  if (!cache.password_file.empty() && !cache.password_file.starts_with('/'))
    return Wrong("[cache] password_file",
                 "must be an absolute path, not '" + cache.password_file + "'");
  if (!cache.server.starts_with('/'))
    return Wrong("[cache] server", "must be an absolute path, not '" + cache.server + "'");
  return {};
}

Result<void> ValidateQuery(const QuerySettings& query) {
  if (Result<SqlServerAddress> server = ParseQueryServer(query.server);
      !query.server.empty() && !server.ok())
    return std::move(server).error().In("[query] server");
  if (!query.password_file.empty() && !query.password_file.starts_with('/'))
    return Wrong("[query] password_file",
                 "must be an absolute path, not '" + query.password_file + "'");
  return {};
}

Result<void> ValidatePersistence(const PersistenceSettings& persistence) {
  for (const auto& [key, path] : {std::pair("secret_key_file", &persistence.secret_key_file),
                                  std::pair("ca_file", &persistence.ca_file)})
    if (!path->empty() && !path->starts_with('/'))
      return Wrong(std::string("[persistence] ") + key,
                   "must be an absolute path, not '" + *path + "'");
  if (persistence.server.empty())
    return {};
  if (Result<S3Address> server = ParseObjectServer(persistence.server); !server.ok())
    return std::move(server).error().In("[persistence] server");
  const auto is_key_char = [](char c) { return c > ' ' && c <= '~'; };
  if (persistence.access_key.empty() || !std::ranges::all_of(persistence.access_key, is_key_char))
    return Wrong("[persistence] access_key", "must be the id of a key for the server");
  if (persistence.secret_key_file.empty())
    return Wrong("[persistence] secret_key_file", "must name a file with the key's secret");
  return {};
}

}  // namespace

Result<SocketAddress> ParseAddress(std::string_view text) {
  const auto wrong = [text] {
    return Error{ErrorCode::kInvalidArgument,
                 "'" + std::string(text.substr(0, 80)) +
                     "' is not an address: write IPV4:PORT or [IPV6]:PORT with a numeric address, "
                     "such as \"127.0.0.1:8080\""};
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return wrong();
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool v6 = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (v6)
    host = host.substr(1, host.size() - 2);
  SocketAddress address{std::string(host), 0};
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, address.port);
  if (parsed.ec != std::errc() || parsed.ptr != end || !IsNumericHost(address.host, v6))
    return wrong();
  return address;
}

Result<void> ValidateSettings(const Settings& settings) {
  TRY(ValidateNode(settings.node));
  TRY(ValidateHttp(settings.http));
  TRY(ValidateAdmin(settings.admin));
  TRY(ValidateModules(settings.modules));
  TRY(ValidateCache(settings.cache));
  TRY(ValidatePersistence(settings.persistence));
  TRY(ValidateQuery(settings.query));
  // A socket's path has 108 bytes in the kernel, the closing zero included.
  if (AdminSocketPath(settings).size() > 107)
    return Wrong("[admin] socket", "the path is longer than 107 characters");
  if (settings.limits.worker.address_space_max < settings.limits.worker.memory_max)
    return Wrong("[limits] address_space", "must not be smaller than memory (" +
                                               SizeText(settings.limits.worker.memory_max) + ")");
  if (settings.log.burst < settings.log.event_max)
    return Wrong("[log] burst",
                 "must not be smaller than event_max (" + SizeText(settings.log.event_max) + ")");
  return {};
}

}  // namespace cloister
