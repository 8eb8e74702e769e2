#include "daemon/releases/trial_boot.h"

#include <utility>

#include "config/manifest.h"
#include "daemon/releases/receive.h"
#include "daemon/store/release_rows.h"
#include "daemon/workers/process_memory.h"

namespace cloister {
namespace {

// Of runs and overlays that are trials: no config and no walk has such a number.
constexpr std::uint64_t kTrial = std::uint64_t{1} << 63;
constexpr std::size_t kShownOfFailure = 300;

// The quotas that a worker's process is made within.
constexpr const char* kNames[] = {"limits.memory", "limits.address_space", "limits.threads",
                                  "limits.cpu"};

bool IsLess(const WorkerLimits& wanted, const WorkerLimits& present) {
  return wanted.memory_max < present.memory_max ||
         wanted.address_space_max < present.address_space_max ||
         wanted.threads_max < present.threads_max || wanted.cpu_millis < present.cpu_millis;
}

std::string Mebibytes(Bytes bytes) {
  // Rounded up: so much is enough.
  return std::to_string((bytes.count + MiB(1).count - 1) / MiB(1).count) + " MiB";
}

}  // namespace

bool TrialBoot::IsLower(const Quota& wanted, const Quota& present) {
  return IsLess(wanted.limits.worker, present.limits.worker);
}

TrialBoot::TrialBoot(const Parts& parts, TrialOrder order, std::uint64_t serial, Done done)
    : parts_(parts),
      order_(std::move(order)),
      serial_(serial),
      done_(std::move(done)),
      self_(std::make_shared<TrialBoot*>(this)) {}

TrialBoot::~TrialBoot() {
  *self_ = nullptr;
  Leave();
}

Outcome<TrialBoot::Candidates> TrialBoot::Find(Database& db, const TrialOrder& order) {
  Candidates found{.present = TRY(FindLive(db, order.app.id)), .wanted = {}};
  if (!found.present)
    return found;
  const std::string text = TRY(FindManifest(db, found.present->id));
  const Manifest manifest = TRY(ParseManifest(text, kManifestPath));
  found.wanted = *found.present;
  found.wanted.run = RunOf(manifest, order.wanted.limits);
  return found;
}

void TrialBoot::Start() {
  parts_.state.Read(
      order_.app.id.number, [order = order_](Database& db) { return Find(db, order); },
      Then(&TrialBoot::OnFound));
}

void TrialBoot::OnFound(Outcome<Candidates> found) {
  // What is damaged is no matter of quotas.
  if (!found.ok() || !found.value().present)
    return End(std::nullopt);
  candidates_ = std::move(found).value();
  if (!IsLess(candidates_.wanted.run.limits, candidates_.present->run.limits))
    return End(std::nullopt);
  parts_.images.LoadImage(candidates_.wanted.id, Then(&TrialBoot::OnImage));
}

void TrialBoot::OnImage(Result<std::shared_ptr<const UniqueFd>> image) {
  if (!image.ok())
    return End(std::nullopt);
  image_ = std::move(image).value();
  if (order_.config == 0)
    return OnValues(std::make_shared<const RunConfig>());
  parts_.configs.LoadConfig(order_.app.id, order_.config, Then(&TrialBoot::OnValues));
}

void TrialBoot::OnValues(Result<std::shared_ptr<const RunConfig>> values) {
  if (!values.ok())
    return End(std::nullopt);
  values_ = std::move(values).value();
  Boot(Within::kWanted);
}

void TrialBoot::Boot(Within within) {
  within_ = within;
  const bool wanted = within == Within::kWanted;
  const ReleaseRow& release =
      wanted ? candidates_.wanted : candidates_.present.value_or(candidates_.wanted);
  // Each boot is of a run of its own, which nothing else knows.
  const std::uint64_t number = kTrial | serial_ << 1 | (wanted ? 0 : 1);
  ReleaseSpec spec = SpecOf(order_.app, release, wanted ? order_.wanted : order_.present, number);
  spec.writes = Writes::kOverlay;
  spec.overlay = number;
  spec.workers_min = 0;
  spec.values = values_;
  run_ = spec.run();
  parts_.workers.Boot(spec, image_, 1, Then(&TrialBoot::OnBooted));
}

void TrialBoot::OnBooted(BootOutcome outcome) {
  const Bytes needed = outcome.failure == nullptr ? MemoryOfTrial() : Bytes{};
  Leave();
  if (within_ == Within::kPresent)
    return End(outcome.failure == nullptr ? std::optional(TooLow(needed)) : std::nullopt);
  if (outcome.failure == nullptr)
    return End(std::nullopt);
  failure_ = std::move(*outcome.failure);
  Boot(Within::kPresent);
}

void TrialBoot::End(std::optional<Problem> problem) {
  // It may destroy this.
  const Done done = std::move(done_);
  done(std::move(problem));
}

void TrialBoot::Leave() {
  if (run_)
    parts_.workers.Retire(*std::exchange(run_, std::nullopt), [] {});
}

Bytes TrialBoot::MemoryOfTrial() const {
  for (const WorkerInfo& worker : parts_.workers.List())
    if (run_ && RunId{.release = worker.release, .config = worker.config} == *run_ &&
        worker.pid != 0)
      return DataMemory(worker.pid);
  return {};
}

Problem TrialBoot::TooLow(Bytes needed) const {
  std::string lower;
  for (const char* name : kNames)
    if (QuotaNumber(order_.wanted, name) < QuotaNumber(order_.present, name))
      lower +=
          (lower.empty() ? "" : ", ") + std::string(name) + "=" + QuotaText(order_.wanted, name);
  std::string why = failure_.message.substr(0, kShownOfFailure);
  if (values_->redactor != nullptr)
    values_->redactor->Redact(
        why, why.size() < failure_.message.size() ? Redactor::End::kCut : Redactor::End::kWhole);
  std::string text = order_.app.name.ToString() + " " + candidates_.wanted.version +
                     " does not boot with " + lower + " (" + failure_.code + ": " + why +
                     "); with the present quotas it does";
  if (needed.count > 0)
    text += ", and needs " + Mebibytes(needed) + " of limits.memory for it";
  return Refused(ProblemCode::kQuotaTooLow, std::move(text));
}

}  // namespace cloister
