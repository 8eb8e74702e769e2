#pragma once

// What tenants uploaded, by SHA-256. Blocking; background jobs only.
//
// Contents belong to one tenant: another's never counts as present, and nobody can find out what
// another has (I10). What no release refers to is kept for a day, so that an upload can be resumed.

#include <cstdint>
#include <string>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

// How long a content is kept that nothing refers to.
inline constexpr std::chrono::hours kUnreferencedKept{24};

// Those of `wanted` that `tenant` has not uploaded, each once, in the order given.
Result<std::vector<Sha256>> MissingContents(Database& db, TenantId tenant,
                                            const std::vector<ContentName>& wanted);

// All of them in one transaction. A content that is there already counts as uploaded now. Audited
// as one change.
Result<void> StoreContents(Database& db, const TenantRow& tenant,
                           const std::vector<VerifiedContent>& contents, const Change& change);

// The bytes of a content after comparing them with their hash (I5). kNotFound when the tenant has
// no such content; kSystem when what is stored is not what was uploaded.
Result<std::string> LoadContent(Database& db, TenantId tenant, const Sha256& sha256);

// The same check for bytes as they came from the table.
Result<std::string> OpenContent(std::string_view compressed, const ContentName& name);

// Contents of the release that are not what was uploaded go, so that they count as missing and are
// uploaded again. How many there were.
Result<std::uint64_t> DropDamaged(Database& db, const AppRow& app, ReleaseId release,
                                  const Change& change);

// Deletes up to `limit` contents that were uploaded before `before` and that no release of their
// tenant refers to, and gives free pages back to the file system. Returns how many went.
Result<std::uint64_t> SweepContents(Database& db, WallTime before, std::uint32_t limit);

}  // namespace cloister
