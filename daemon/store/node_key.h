#pragma once

// The node's key, with which secrets are sealed at rest.
//
// A file of the state directory, node.key, that only its owner reads, made when the first secret is
// set; or the credential that the service manager gives (cloister-node-key), which nothing here
// writes. Read once. A key that is missing or another than the one that sealed a value is an error
// that names both by their ids. Blocking; may be used by several threads.

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "apis/backends/sodium.h"
#include "apis/base/result.h"
#include "apis/base/unique_fd.h"

namespace cloister {

inline constexpr std::string_view kNodeKeyFile = "node.key";

class NodeKey {
 public:
  // `credential`: a descriptor of the credential; invalid: the file in `state_directory` it is.
  NodeKey(const std::string& state_directory, UniqueFd credential);

  // The key for new values; made when there is none.
  Result<std::shared_ptr<const SealKey>> ForSealing();
  // The key with that id. kNotFound: there is no key; kInvalidArgument: it is another one.
  Result<std::shared_ptr<const SealKey>> ForOpening(std::string_view id);

 private:
  Result<std::shared_ptr<const SealKey>> Load();
  Result<std::shared_ptr<const SealKey>> Create();

  std::string directory_;
  UniqueFd credential_;
  std::mutex mutex_;
  std::shared_ptr<const SealKey> key_;  // once it was read
};

}  // namespace cloister
