#pragma once

// Step hostname: the host's own names are not shown.

#include "apis/base/result.h"

namespace cloister {

inline constexpr char kWorkerHostname[] = "worker";

Result<void> HideHostname();

}  // namespace cloister
