#pragma once

// The text of collect_packages.py, compiled in.

namespace cloister {

extern const char* const kCollectPackages;

}  // namespace cloister
