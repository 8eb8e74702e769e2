#pragma once

// What one app may use: the settings that may differ for a tenant or an app.
//
// A quota has the name and the values that it has in the settings file: "limits.memory", "128MiB".
// What is set for an app goes before what is set for its tenant, and that before the node's own.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "apis/base/result.h"
#include "config/settings.h"

namespace cloister {

// The values of one app, or of the node for apps that have no others.
struct Quota {
  LimitSettings limits;
  LogSettings log;
  ConfigQuota config = {};
  CacheQuota cache = {};
  PersistenceQuota persistence = {};
  QueryQuota query = {};
};

inline Quota QuotaOf(const Settings& settings) {
  return {.limits = settings.limits,
          .log = settings.log,
          .config = settings.config,
          // Without where the cache is, which is the node's matter.
          .cache = static_cast<const CacheQuota&>(settings.cache),
          .persistence = static_cast<const PersistenceQuota&>(settings.persistence),
          .query = static_cast<const QueryQuota&>(settings.query)};
}

struct QuotaInfo {
  std::string_view name;      // SECTION.KEY
  std::string_view sentence;  // what it bounds
};

// In the order of the settings file.
std::span<const QuotaInfo> QuotaInfos();

// What somebody set, by name, as text.
using QuotaValues = std::map<std::string, std::string, std::less<>>;

// `value` is written as in the settings file, without quotes: "128MiB", "30s", "0.5", "8".
// kNotFound: no quota has that name; kInvalidArgument: the value is not one of it. The message says
// what would be.
Result<void> SetQuota(Quota& quota, std::string_view name, std::string_view value);

// The value of a quota that there is (CHECKed), as SetQuota reads it.
std::string QuotaText(const Quota& quota, std::string_view name);
// The same as a number: bytes, milliseconds, thousandths of a core, or what is counted.
std::uint64_t QuotaNumber(const Quota& quota, std::string_view name);

// `quota` with what was set. A value that this version does not take (an older one did) is left
// out, so that no old row takes an app down. Where one quota must not be smaller than another, it
// is raised along: address_space with memory, burst with event_max.
Quota WithValues(Quota quota, const QuotaValues& values);

}  // namespace cloister
