#pragma once

// The verbs on releases beyond their list: compare, pin, verify.

#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

// Which of two versions is the higher, by the rules of the node, without asking one.
struct VersionPair {
  std::string a;
  std::string b;
};
// Failure version_invalid when one is no version.
Attempt<void> CompareVersions(Console& console, const VersionPair& versions);

enum class PinMode { kPin, kUnpin };
struct PinWish {
  std::string app;
  std::string version;
  PinMode mode = PinMode::kPin;
};
// A pinned release is not removed by the node's policy. Failure version_invalid.
Attempt<void> PinRelease(AdminApi& api, Console& console, const PinWish& wish);

// What the node stores of an app (`app` empty: of all), checked against its hashes. Failure
// integrity_error when something is damaged.
Attempt<void> VerifyStore(AdminApi& api, Console& console, const std::string& app);

}  // namespace cloister
