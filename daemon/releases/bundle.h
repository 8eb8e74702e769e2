#pragma once

// The file list of a release as a client sends it, checked; nothing of it is trusted.
//
// config/bundle_rules.h has the rules (paths, sizes, counts, the platform's name). Paths are case
// sensitive, as the app's open() is. Here come those that need the hashes and the whole list.

#include <cstdint>
#include <string>
#include <vector>

#include "apis/base/sha256.h"
#include "daemon/releases/problem.h"
#include "daemon/store/rows.h"

namespace cloister {

struct Bundle {
  std::vector<ReleaseFile> files;  // sorted by path as bytes
  Sha256 digest;                   // DigestOf(files)
  Sha256 manifest;                 // the content of cloister.toml
  std::size_t left_out = 0;        // files that the client says it did not send
};

// kBundleRefused or kBundleTooLarge; the detail names the path and the rule.
Outcome<Bundle> CheckBundle(std::vector<ReleaseFile> files, std::size_t left_out = 0);

// SHA-256 over the list in the order of its paths: for each file its path, a NUL, its size in
// decimal, a NUL, its hash in hexadecimal, a newline. What `sha256sum` could compute, too.
Sha256 DigestOf(const std::vector<ReleaseFile>& sorted_files);

// Paths of which the two lists have other contents, or which only one has, at most `limit`. Both
// are sorted by path.
std::vector<std::string> DifferingPaths(const std::vector<ReleaseFile>& a,
                                        const std::vector<ReleaseFile>& b, std::size_t limit);

}  // namespace cloister
