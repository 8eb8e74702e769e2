#pragma once

// Contents on their way into the store: which are missing, and batches of those.
//
// A batch is, for each content: its SHA-256 (32 bytes), its size (u64, little-endian), its bytes.
// Nothing of a batch is stored unless every hash is right (I5). Runs on the loop thread; hashing
// and compressing on the state's bulk thread.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/clock.h"
#include "apis/base/units.h"
#include "daemon/releases/catalog.h"
#include "daemon/releases/problem.h"
#include "daemon/store/state.h"

namespace cloister {

// The largest batch.
inline constexpr Bytes kBatchMax = MiB(40);

class Uploads {
 public:
  Uploads(const Clock& clock, State& state, Catalog& catalog)
      : clock_(clock), state_(state), catalog_(catalog) {}

  // Of `wanted`, those that the tenant itself has not uploaded. kTenantNotFound.
  void Missing(const std::string& tenant, std::vector<ContentName> wanted,
               std::function<void(Outcome<std::vector<Sha256>>)> done);

  // `read` gives the batch; it is called on another thread. Answers how many contents it held.
  void Store(const std::string& tenant, std::function<Result<std::string>()> read, std::string who,
             std::function<void(Outcome<std::size_t>)> done);

 private:
  const Clock& clock_;
  State& state_;
  Catalog& catalog_;
};

// kBatchMalformed, kContentTooLarge or kContentHashMismatch.
Outcome<std::vector<VerifiedContent>> DecodeBatch(std::string_view batch);

}  // namespace cloister
