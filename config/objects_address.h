#pragma once

// Where the server of apps' larger objects is, from the settings.

#include <optional>
#include <string_view>

#include "apis/backends/s3_address.h"
#include "apis/base/result.h"
#include "config/settings.h"

namespace cloister {

// "s3://BUCKET[/PREFIX]?endpoint=https://HOST[:PORT][&region=REGION]"; http:// for a private
// network. Keys are none of it: settings are shown.
Result<S3Address> ParseObjectServer(std::string_view url);

// None: larger objects are files of the node. Without the secret key. Settings are valid.
std::optional<S3Address> ObjectServerAddress(const Settings& settings);

}  // namespace cloister
