#pragma once

// Runs verifications on the state's bulk thread, slice by slice: what deploys and starting workers
// need of that thread comes in between, so that they wait for one slice at most. Runs on the loop
// thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "daemon/releases/problem.h"
#include "daemon/releases/verification.h"
#include "daemon/store/state.h"

namespace cloister {

class Verifier {
 public:
  using RunId = std::uint64_t;
  using Done = std::function<void(const Outcome<VerificationReport>&)>;

  // `key`: opens the secrets of configs.
  Verifier(State& state, std::shared_ptr<NodeKey> key);
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;
  ~Verifier();

  // `done` is never called from within this call.
  RunId Verify(std::vector<AppRow> apps, Done done);
  // Ends after the slice that is being checked.
  void Cancel(RunId id) { runs_.erase(id); }

 private:
  void Step(RunId id, const std::shared_ptr<Verification>& verification);
  void OnStep(RunId id, const std::shared_ptr<Verification>& verification,
              const Result<bool>& more);

  State& state_;
  std::shared_ptr<NodeKey> key_;
  std::unordered_map<RunId, Done> runs_;
  RunId last_run_ = 0;
  std::shared_ptr<Verifier*> self_;  // null inside once this is gone
};

}  // namespace cloister
