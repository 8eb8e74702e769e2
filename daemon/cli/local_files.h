#pragma once

// The files on this machine that become a bundle: found, checked by the rules of
// config/bundle_rules.h, hashed.

#include <cstdint>
#include <string>
#include <vector>

#include "apis/base/sha256.h"
#include "config/bundle_rules.h"
#include "config/manifest.h"
#include "daemon/cli/failure.h"
#include "daemon/cli/ignore.h"
#include "daemon/cli/progress.h"

namespace cloister {

struct LocalFile {
  std::string path;    // in the bundle
  std::string source;  // here
  std::uint64_t size = 0;
  Sha256 sha256;
};

// Every file of `folder` that `ignore` leaves, sorted by path. Refuses links, devices and whatever
// breaks `rules`, by the first one found; stops at a limit, however much more there is.
Attempt<std::vector<LocalFile>> FindFiles(const std::string& folder, const IgnoreRules& ignore,
                                          BundleRules& rules);

// FOLDER/cloister.toml, as strictly as the node reads it.
Attempt<Manifest> LoadManifest(const std::string& folder);

// The rules for FOLDER/.cloisterignore; none when there is no such file.
Attempt<IgnoreRules> LoadIgnoreRules(const std::string& folder);

// Fills in sha256.
Attempt<void> HashFiles(std::vector<LocalFile>& files, Console& console, const Clock& clock);

// The whole file; kNotFound, kPermissionDenied or kSystem, kQuotaExceeded above `most` bytes.
Result<std::string> ReadWholeFile(const std::string& path, std::uint64_t most);

// The Failure of what `rules` or a parser said of a bundle.
// What the node would find as well, before anything is sent: manifest_invalid when a row of
// [static] leads to no file of the bundle, or to what is not for everybody.
Attempt<void> CheckStaticPaths(const Manifest& manifest, const std::vector<LocalFile>& files,
                               const std::string& folder);

Failure BundleFailure(Error error);

}  // namespace cloister
