#pragma once

// Seals: SHA-256 sums over rows that decide what runs and have no other hash.
//
// A seal binds what it covers to the place where it lies, so that neither a flipped bit nor a row
// that was edited, or moved to another path, is taken for what was stored. It stands beside what
// it covers: whoever rewrites both is not stopped by it (docs/threats.md).

#include <string_view>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

// Over the entry point, the limits, the numbers of workers and the static paths: releases.run_seal.
Sha256 SealOfRun(const ReleaseRun& run);

// Over the compressed code and its place: bytecode.seal.
struct BytecodePlace {
  AppId app;
  const BytecodeName& name;
  std::string_view magic;
};
Sha256 SealOfBytecode(const BytecodePlace& place, std::string_view compressed);

// Part of a migration: seals every release and all bytecode, which older versions stored without.
Result<void> SealOlderRows(Database& db);

}  // namespace cloister
