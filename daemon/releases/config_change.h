#pragma once

// What a change of an app's config makes of it, or why it is refused.
//
// Blocking, on the state's writer thread, so that what it decides still holds when it is walked to.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apis/backends/sodium.h"
#include "apis/backends/sqlite.h"
#include "apis/config/quota.h"
#include "daemon/releases/problem.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/node_key.h"
#include "daemon/store/rows.h"

namespace cloister {

// Values are of one of these for the whole of a request: nothing becomes readable by a slip.
enum class ConfigKind { kPlain, kSecret };

struct ConfigKeyChange {
  std::string name;
  bool unset = false;
  SecretText value;
};

struct ConfigRequest {
  ConfigKind kind = ConfigKind::kPlain;
  std::vector<ConfigKeyChange> changes;
  std::optional<std::uint64_t> back_to;  // instead: the plain values of that version; 0: the last
                                         // one that was in force before
};

// What a rollback of the config does to the present one.
struct ConfigBack {
  std::uint64_t former = 0;             // whose plain values these are; 0: it is no rollback
  std::vector<std::string> names = {};  // of what is there afterwards, and was not or was another
  std::vector<std::string> gone = {};   // of what is there no longer
};

struct ChosenConfig {
  std::uint64_t number = 0;
  bool changed = false;                 // false: it is in force already
  bool reload_live = false;             // of the live release
  std::optional<ReleaseRow> live = {};  // that must run with it before it is in force; none: it is
  ConfigBack back = {};
};

// Beside the request: what the app may have, what seals, and who asks.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): its reference has no default.
struct ConfigTerms {
  ConfigQuota quota;
  NodeKey& key;
  Change change;
};

// kConfigInvalid, kConfigKind, kConfigKeyNotFound, kConfigVersionNotFound, kConfigRequired,
// kConfigFull, kConfigUnreadable (the node's key).
Outcome<ChosenConfig> ChooseConfig(Database& db, const AppRow& app, const ConfigRequest& request,
                                   const ConfigTerms& terms);

// The config with which a release goes live again.
struct ReleaseConfig {
  std::uint64_t number = 0;
  std::uint64_t former = 0;             // whose plain values these are; 0: nothing changes
  std::vector<std::string> names = {};  // of what differs from the present ones
};
// Of a rollback: its plain values are those with which `release` served last, its secrets the
// present ones. kConfigMissing: a key is missing that its manifest requires.
Outcome<ReleaseConfig> ChooseReleaseConfig(Database& db, const AppRow& app,
                                           const ReleaseRow& release, const Change& change);
// Of a promotion: the one in force. kConfigMissing.
Outcome<ReleaseConfig> KeepConfig(Database& db, const AppRow& app, const ReleaseRow& release);

// Keys that the manifest of a release requires and version `number` lacks.
Result<std::vector<std::string>> FindMissingKeys(Database& db, const ReleaseRow& release,
                                                 std::uint64_t number);
// What to say of them.
std::string MissingKeysText(const AppName& app, const std::vector<std::string>& names);

}  // namespace cloister
