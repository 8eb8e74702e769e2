#pragma once

// Sends a bundle's contents to a tenant: asks which are missing, then sends only those, in batches.
//
// What arrived stays, so an upload goes on where it stopped: a broken connection, or a node that is
// being replaced, is tried again a few times here, and later by the next deploy.

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"
#include "daemon/cli/local_files.h"

namespace cloister {

struct UploadSummary {
  std::size_t contents = 0;       // of the bundle, each counted once
  std::size_t contents_sent = 0;  // that were missing
  std::uint64_t bytes_sent = 0;
  Millis elapsed{0};
};

Attempt<UploadSummary> UploadContents(AdminApi& api, const std::string& tenant,
                                      const std::vector<LocalFile>& files, Console& console);

// A batch's form: 32 bytes of SHA-256, u64 little-endian size, the bytes; again and again.
void AppendContent(std::string& batch, const Sha256& sha256, std::string_view bytes);

}  // namespace cloister
