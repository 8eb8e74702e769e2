#pragma once

// The config that the workers of a pool run with. Immutable, shared by a pool and its workers; what
// it holds is overwritten when the last of them is gone.

#include <cstdint>
#include <functional>
#include <memory>

#include "apis/backends/sodium.h"
#include "apis/base/names.h"
#include "apis/base/result.h"
#include "daemon/logs/redactor.h"

namespace cloister {

struct RunConfig {
  std::uint64_t number = 0;                  // the version, counted by its app
  SecretText payload;                        // of kConfig frames (apis/wire/config_values.h)
  std::shared_ptr<const Redactor> redactor;  // of its secrets; null: there are none
};

// Gives an app's config, secrets in plain. Implemented by the releases; asked when the first worker
// of a pool is needed.
class ConfigSource {
 public:
  virtual ~ConfigSource() = default;
  using Done = std::function<void(Result<std::shared_ptr<const RunConfig>>)>;
  // `number` is not 0. Never answers from within this call.
  virtual void LoadConfig(AppId app, std::uint64_t number, Done done) = 0;
};

}  // namespace cloister
