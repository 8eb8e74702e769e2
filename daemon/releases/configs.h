#pragma once

// The ConfigSource of a node: reads an app's config from the state and opens its secrets.
//
// On the state's reader thread. Runs on the loop thread.

#include <cstdint>
#include <memory>

#include "apis/backends/sqlite.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/node_key.h"
#include "daemon/store/state.h"
#include "daemon/workers/run_config.h"

namespace cloister {

class Configs : public ConfigSource {
 public:
  Configs(State& state, std::shared_ptr<NodeKey> key) : state_(state), key_(std::move(key)) {}

  void LoadConfig(AppId app, std::uint64_t number, Done done) override;

  const std::shared_ptr<NodeKey>& key() const { return key_; }

 private:
  State& state_;
  std::shared_ptr<NodeKey> key_;  // shared with jobs that outlive this
};

// A secret's value. kNotFound: there is no key; kInvalidArgument: it does not open. Blocking.
Result<SecretText> OpenSecret(AppId app, const ConfigValueRow& row, NodeKey& keys);

// kNotFound: there is no such version, or no key. kInvalidArgument: a secret does not open.
// Blocking.
Result<std::shared_ptr<const RunConfig>> ReadRunConfig(Database& db, AppId app,
                                                       std::uint64_t number, NodeKey& key);

}  // namespace cloister
