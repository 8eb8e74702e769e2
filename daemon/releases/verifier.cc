#include "daemon/releases/verifier.h"

#include <utility>

#include "apis/base/log.h"

namespace cloister {
namespace {

// All runs share a turn among the apps, none of which has this number.
constexpr std::uint64_t kTurn = 0;

}  // namespace

Verifier::Verifier(State& state, std::shared_ptr<NodeKey> key)
    : state_(state), key_(std::move(key)), self_(std::make_shared<Verifier*>(this)) {}

Verifier::~Verifier() {
  *self_ = nullptr;
}

Verifier::RunId Verifier::Verify(std::vector<AppRow> apps, Done done) {
  const RunId id = ++last_run_;
  runs_[id] = std::move(done);
  Step(id, std::make_shared<Verification>(std::move(apps), key_));
  return id;
}

// The job has the verification to itself until its result is here.
void Verifier::Step(RunId id, const std::shared_ptr<Verification>& verification) {
  state_.Bulk(
      kTurn, [verification](Database& db) { return verification->Step(db); },
      [self = self_, id, verification](const Result<bool>& more) {
        if (*self != nullptr)
          (*self)->OnStep(id, verification, more);
      });
}

void Verifier::OnStep(RunId id, const std::shared_ptr<Verification>& verification,
                      const Result<bool>& more) {
  const auto run = runs_.find(id);
  if (run == runs_.end())
    return;
  if (more.ok() && more.value())
    return Step(id, verification);
  const Done done = std::move(run->second);
  runs_.erase(run);
  if (!more.ok())
    return done(Error(more.error()));
  const VerificationReport& report = verification->report();
  Log(report.damages == 0 ? LogLevel::kInfo : LogLevel::kError, "store_verified",
      {{"apps", report.apps},
       {"releases", report.releases},
       {"secrets", report.secrets},
       {"damages", report.damages}});
  done(report);
}

}  // namespace cloister
