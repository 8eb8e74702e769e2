#pragma once

// [bundle] packages: the deployer's Python lists the files of each package and of all that it
// requires (collect_packages.py); they become site-packages/ of the bundle.

#include <string>
#include <vector>

#include "daemon/cli/failure.h"
#include "daemon/cli/local_files.h"

namespace cloister {

struct LeftOut {
  std::string path;
  std::string reason;
};

struct CollectedPackages {
  std::vector<LocalFile> files;  // paths below site-packages/; not hashed
  std::vector<LeftOut> left_out;
  std::vector<std::string> packages;  // "Flask 2.2.2"
};

inline constexpr const char* kDefaultPython = "/usr/bin/python3.11";

// Refused with package_missing, package_standard, python_version or python_failed.
Attempt<CollectedPackages> CollectPackages(const std::string& python,
                                           const std::vector<std::string>& names);

}  // namespace cloister
