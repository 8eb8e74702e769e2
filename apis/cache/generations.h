#pragma once

// Where an app's key generation is kept, so that a new node process does not read what an older one
// had given up.

#include <cstdint>
#include <functional>
#include <string>

#include "apis/base/names.h"
#include "apis/base/result.h"

namespace cloister {

struct CacheGeneration {
  std::string space;  // of the state directory
  std::uint64_t number = 1;
};

// Runs on the loop thread. `done` is called later, on it, once; not after the object is gone.
class CacheGenerations {
 public:
  virtual ~CacheGenerations() = default;
  virtual void Load(AppId app, std::function<void(Result<CacheGeneration>)> done) = 0;
  // From now on the app's generation is at least `number`; `done`: and stays so.
  virtual void Store(AppId app, std::uint64_t number, std::function<void(Result<void>)> done) = 0;
};

}  // namespace cloister
