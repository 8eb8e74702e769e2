#pragma once

// Where a server that speaks S3 is, and who is who there.

#include <string>

#include "apis/base/units.h"

namespace cloister {

struct S3Address {
  std::string endpoint;  // "https://HOST[:PORT]"
  std::string bucket;
  std::string prefix;  // of every key; no '/' at either end
  std::string region = "us-east-1";
  std::string access_key;
  std::string secret_key;
  std::string ca_file;  // empty: the system's
  // A server that has said nothing for so long is taken for away.
  Millis timeout{10000};
};

}  // namespace cloister
