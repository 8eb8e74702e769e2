#pragma once

// [[check]] of the manifest: a request that a release must answer well before it goes live.
//
// What is allowed here is what the front end lets through to an app, and no more than the node
// wants to keep of it: see the constants of the .cc.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/units.h"
#include "config/problems.h"
#include "config/toml.h"

namespace cloister {

inline constexpr std::string_view kCheckTable = "check";
inline constexpr std::size_t kChecksMax = 32;

struct CheckHeader {
  std::string name;  // lower case
  std::string value;
};

struct ManifestCheck {
  std::string path = {};  // origin form: with its query, percent-encoded
  std::string method = "GET";
  std::vector<CheckHeader> headers = {};
  std::string body = {};
  std::uint32_t status = 200;
  std::string contains = {};  // bytes that the response's body must contain; empty: any
  std::string matches = {};   // a pattern of Python's re that is found in it; empty: any
  Millis time{5000};          // from the request to the whole response
};

// Appends what `table`, a [[check]], says to `checks`, or the reasons why not to `problems`.
void ReadCheck(const TomlTable& table, std::vector<ManifestCheck>& checks, FileProblems& problems);

}  // namespace cloister
