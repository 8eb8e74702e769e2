#pragma once

// Bodies of requests that change an app's config. Shared: jobs are copied, and secrets are not.

#include <memory>

#include "daemon/admin/body.h"
#include "daemon/releases/config_change.h"

namespace cloister {

// {"changes": [{"name", "value"}]}; without a value the key is unset. Blocking.
Outcome<std::shared_ptr<const ConfigRequest>> ReadConfigBody(const TakenBody& body,
                                                             ConfigKind kind);
// {"version"}; without it, back to the one before.
Outcome<std::shared_ptr<const ConfigRequest>> ReadConfigRollback(const TakenBody& body);

}  // namespace cloister
