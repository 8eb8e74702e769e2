#pragma once

// Whether what the store holds of a release is what was received (I5).
//
// Contents and bytecode are checked where they are read (daemon/store). Here the rows that say what
// belongs to a release and how it runs are held against each other:
//
//   the list of files   has the release's digest
//   the digest          is the one that the audit has of the release's creation
//   the manifest        is the content of cloister.toml
//   the entry point     is the manifest's
//   entry and limits    have the seal that they got when the release was created
//
// Blocking; in one transaction for reading, so that a release that goes is whole or gone.

#include <string>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

struct Damage {
  std::string file;  // empty: the release as a whole
  std::string what;
};

// Empty when all of it fits together.
Result<std::vector<Damage>> FindRowDamage(Database& db, const ReleaseRow& release);

// kSystem, with the first damage, when something does not.
Result<void> CheckRows(Database& db, const ReleaseRow& release);

}  // namespace cloister
