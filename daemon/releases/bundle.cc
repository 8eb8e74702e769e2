#include "daemon/releases/bundle.h"

#include <algorithm>

#include "config/bundle_rules.h"
#include "config/manifest.h"

namespace cloister {
namespace {

bool ByPath(const ReleaseFile& a, const ReleaseFile& b) {
  return a.path < b.path;
}

}  // namespace

Sha256 DigestOf(const std::vector<ReleaseFile>& sorted_files) {
  Sha256Stream stream;
  for (const ReleaseFile& file : sorted_files) {
    std::string line = file.path;
    line += '\0';
    line += std::to_string(file.size);
    line += '\0';
    line += file.sha256.Hex();
    line += '\n';
    stream.Add(line);
  }
  return stream.Finish();
}

Outcome<Bundle> CheckBundle(std::vector<ReleaseFile> files, std::size_t left_out) {
  BundleRules rules;
  for (const ReleaseFile& file : files)
    if (Result<void> added = rules.Add(file.path, file.size); !added.ok())
      return Refused(added.error().code == ErrorCode::kQuotaExceeded ? ProblemCode::kBundleTooLarge
                                                                     : ProblemCode::kBundleRefused,
                     added.error().message);
  std::sort(files.begin(), files.end(), ByPath);
  const auto manifest = std::find_if(files.begin(), files.end(), [](const ReleaseFile& file) {
    return file.path == kManifestPath;
  });
  if (manifest == files.end())
    return Refused(ProblemCode::kBundleRefused,
                   "'cloister.toml' is not among the files: a bundle has its manifest at the top");
  if (manifest->size > kManifestMax)
    return Refused(ProblemCode::kBundleTooLarge,
                   "'cloister.toml' has " + std::to_string(manifest->size) +
                       " bytes; a manifest has at most " + std::to_string(kManifestMax));
  Bundle bundle;
  bundle.manifest = manifest->sha256;
  bundle.digest = DigestOf(files);
  bundle.files = std::move(files);
  bundle.left_out = left_out;
  return bundle;
}

std::vector<std::string> DifferingPaths(const std::vector<ReleaseFile>& a,
                                        const std::vector<ReleaseFile>& b, std::size_t limit) {
  std::vector<std::string> paths;
  auto left = a.begin();
  auto right = b.begin();
  while (paths.size() < limit && (left != a.end() || right != b.end())) {
    if (right == b.end() || (left != a.end() && left->path < right->path)) {
      paths.push_back((left++)->path);
    } else if (left == a.end() || right->path < left->path) {
      paths.push_back((right++)->path);
    } else {
      if (left->sha256 != right->sha256)
        paths.push_back(left->path);
      ++left;
      ++right;
    }
  }
  return paths;
}

}  // namespace cloister
