#pragma once

// cloister.toml, the manifest of a bundle, typed. docs/manifest.md describes it for app authors.
//
// Read by `cloister deploy` before anything is sent and by the node again (I1: a bounded reader).
// As strict as the settings: an unknown key is an error with its line and the nearest key. What an
// app asks for here is capped by its quotas, elsewhere.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/units.h"
#include "config/manifest_check.h"
#include "config/manifest_static.h"

namespace cloister {

// The manifest's path in a bundle.
inline constexpr std::string_view kManifestPath = "cloister.toml";
// The largest manifest that is read.
inline constexpr std::size_t kManifestMax = std::size_t{64} * 1024;
// The runtime of this version, and the default.
inline constexpr std::string_view kManifestRuntime = "python3.11";

// What the manifest asks for; empty: the node's default.
struct ManifestLimits {
  std::optional<Bytes> memory;
  std::optional<Millis> wall;
  std::optional<std::uint32_t> cpu_millis;  // thousandths of a core
  std::optional<std::uint32_t> threads;
  std::optional<std::uint32_t> queue;
};

// What [config] says.
struct ManifestConfig {
  std::vector<std::string> required = {};  // keys without which the app cannot run
  bool reload_live = false;  // a change is for the next request of the workers that run
};

struct Manifest {
  std::string app;
  std::string tenant;  // empty: not named here
  std::string version;
  std::string runtime = std::string(kManifestRuntime);
  std::string web_entry;      // module:callable
  std::string release_entry;  // the same, called before the release goes live; may be empty
  bool stream = false;        // a request's body is not complete when the app gets it
  std::vector<std::string> packages;
  std::uint32_t workers_min = 0;
  std::optional<std::uint32_t> workers_max;
  ManifestLimits limits;
  ManifestConfig config;
  std::vector<ManifestCheck> checks;  // at most kChecksMax
  std::vector<StaticRoute> statics;   // at most kStaticRoutesMax, the longest path first
};

// kInvalidArgument: "FILE:LINE: why", one line for each problem. `file_name` is for messages.
Result<Manifest> ParseManifest(std::string_view toml, std::string_view file_name);

}  // namespace cloister
