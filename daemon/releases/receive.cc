#include "daemon/releases/receive.h"

#include <algorithm>
#include <string>
#include <utility>

#include "config/versions.h"
#include "daemon/store/contents.h"
#include "daemon/store/release_rows.h"
#include "daemon/store/retention.h"

namespace cloister {
namespace {

Outcome<Done> CheckAllPresent(Database& db, const ReceiveRequest& request) {
  std::vector<ContentName> wanted;
  wanted.reserve(request.bundle.files.size());
  for (const ReleaseFile& file : request.bundle.files)
    wanted.push_back({.sha256 = file.sha256, .size = file.size});
  const std::vector<Sha256> missing = TRY(MissingContents(db, request.app.tenant, wanted));
  if (missing.empty())
    return Done();
  Problem problem = Refused(ProblemCode::kContentsMissing,
                            std::to_string(missing.size()) +
                                " contents of the bundle are not there; upload them and try again");
  problem.list_name = "missing";
  for (const Sha256& sha256 : missing)
    problem.list.push_back(sha256.Hex());
  return problem;
}

Outcome<std::string> LoadManifest(Database& db, const ReceiveRequest& request) {
  Result<std::string> text = LoadContent(db, request.app.tenant, request.bundle.manifest);
  if (!text.ok())
    return Refused(ProblemCode::kIntegrity, text.error().message);
  return TRY(std::move(text));
}

Problem Taken(const Version& version, const std::string& why) {
  return Refused(ProblemCode::kVersionTaken,
                 version.text() + " " + why + "; a version that was live never changes: raise it");
}

// The problem, with the paths in which the bundle differs from the files that took its version.
Outcome<Done> WithDifferences(Database& db, const ReceiveRequest& request, const Version& version,
                              Problem problem) {
  for (const ReleaseRow& taken : TRY(ListVersion(db, request.app.id, version.text())))
    if (taken.was_live && taken.digest != request.bundle.digest) {
      const std::vector<ReleaseFile> files = TRY(ListFiles(db, taken.id));
      problem.list_name = "files";
      problem.list = DifferingPaths(files, request.bundle.files, kListedPathsMax);
      break;
    }
  return problem;
}

Outcome<Done> CheckNotLower(const ReceiveRequest& request, const Version& version,
                            const ReleaseRow& live) {
  const Version current = TRY(Version::Parse(live.version));
  if (request.allow_downgrade || !(version < current))
    return Done();
  return Refused(ProblemCode::kVersionLower, version.text() + " is lower than " + live.version +
                                                 ", which is live; raise it, or deploy with "
                                                 "--allow-downgrade");
}

bool IsThisBundle(const ReleaseRow& release, const ReceiveRequest& request,
                  const Version& version) {
  return release.version == version.text() && release.digest == request.bundle.digest;
}

// What serves already, when it is this bundle; what stands in the way is a problem.
Outcome<std::optional<ReleaseRow>> CheckVersion(Database& db, const ReceiveRequest& request,
                                                const Version& version) {
  const Outcome<Done> free =
      CheckNotTaken(db, request.app.id, version.text(), request.bundle.digest);
  if (!free.ok())
    TRY(WithDifferences(db, request, version, free.error()));
  std::optional<ReleaseRow> live = TRY(FindLive(db, request.app.id));
  if (live && IsThisBundle(*live, request, version))
    return live;
  if (live)
    TRY(CheckNotLower(request, version, *live));
  if (request.goal != ReleaseGoal::kCanary)
    return std::optional<ReleaseRow>();
  if (!live)
    return Refused(ProblemCode::kNothingLive,
                   request.app.name.ToString() +
                       " has no live release to share its requests with; deploy without --canary");
  std::optional<ReleaseRow> canary = TRY(FindCanary(db, request.app.id));
  if (canary && IsThisBundle(*canary, request, version) &&
      canary->canary_percent == request.canary_percent)
    return canary;
  return std::optional<ReleaseRow>();
}

// Which [limits] of the app are above its quota, and so are the quota's. Empty: none.
std::string AboveQuota(const Manifest& manifest, const LimitSettings& quota) {
  const ManifestLimits& wanted = manifest.limits;
  const std::pair<bool, const char*> limits[] = {
      {wanted.memory > quota.worker.memory_max, "limits.memory"},
      {wanted.wall > quota.worker.wall_max, "limits.wall"},
      {wanted.cpu_millis > quota.worker.cpu_millis, "limits.cpu"},
      {wanted.threads > quota.worker.threads_max, "limits.threads"},
      {wanted.queue > quota.queue_max, "limits.queue"},
      {manifest.workers_max > quota.workers_max, "limits.workers"}};
  std::string names;
  for (const auto& [above, name] : limits)
    if (above)
      names += (names.empty() ? "" : ", ") + std::string(name);
  return names.empty() ? "" : "above the quota, which holds: " + names;
}

Outcome<ReceivedRelease> Create(Database& db, const ReceiveRequest& request,
                                std::string manifest_text, const Manifest& manifest,
                                const Change& change) {
  return ReceivedRelease{.release = TRY(CreateRelease(db,
                                                      {.app = request.app.id,
                                                       .tenant = request.app.tenant,
                                                       .app_name = request.app.name.ToString(),
                                                       .version = manifest.version,
                                                       .digest = request.bundle.digest,
                                                       .manifest = std::move(manifest_text),
                                                       .run = RunOf(manifest, request.quota),
                                                       .files = request.bundle.files,
                                                       .left_out = request.bundle.left_out,
                                                       .note = AboveQuota(manifest, request.quota),
                                                       .goal = request.goal,
                                                       .canary_percent = request.canary_percent,
                                                       .rehearsal = request.rehearsal},
                                                      change)),
                         .created = true};
}

}  // namespace

Outcome<Done> CheckNotTaken(Database& db, AppId app, const std::string& version,
                            const Sha256& digest) {
  const Version wanted = TRY(Version::Parse(version));
  for (const std::string& text : TRY(ListTakenVersions(db, app))) {
    const Result<Version> taken = Version::Parse(text);
    if (taken.ok() && taken.value() == wanted && text != version)
      return Taken(wanted, "is the same version as " + text + ", which was live");
  }
  for (const ReleaseRow& taken : TRY(ListVersion(db, app, version)))
    if (taken.was_live && taken.digest != digest)
      return Taken(wanted, "was live with other files");
  for (const CollectedRow& taken : TRY(ListCollectedVersion(db, app, version)))
    if (taken.digest != digest)
      return Taken(wanted, "was live with other files, which are no longer kept");
  return Done();
}

ReleaseRun Within(ReleaseRun run, const LimitSettings& quota) {
  run.limits.memory_max = std::min(run.limits.memory_max, quota.worker.memory_max);
  run.limits.address_space_max =
      std::min(run.limits.address_space_max, quota.worker.address_space_max);
  run.limits.wall_max = std::min(run.limits.wall_max, quota.worker.wall_max);
  run.limits.cpu_millis = std::min(run.limits.cpu_millis, quota.worker.cpu_millis);
  run.limits.threads_max = std::min(run.limits.threads_max, quota.worker.threads_max);
  run.queue_max = std::min(run.queue_max, quota.queue_max);
  run.workers_max = std::min(run.workers_max, quota.workers_max);
  run.workers_min = std::min(run.workers_min, run.workers_max);
  return run;
}

ReleaseRun RunOf(const Manifest& manifest, const LimitSettings& quota) {
  ReleaseRun run;
  const ManifestLimits& wanted = manifest.limits;
  run.entry = manifest.web_entry;
  run.limits = quota.worker;
  run.limits.memory_max = wanted.memory.value_or(quota.worker.memory_max);
  run.limits.wall_max = wanted.wall.value_or(quota.worker.wall_max);
  run.limits.cpu_millis = wanted.cpu_millis.value_or(quota.worker.cpu_millis);
  run.limits.threads_max = wanted.threads.value_or(quota.worker.threads_max);
  run.queue_max = wanted.queue.value_or(quota.queue_max);
  run.workers_max = manifest.workers_max.value_or(quota.workers_max);
  run.workers_min = manifest.workers_min;
  run.statics = StaticsText(manifest.statics);
  return Within(std::move(run), quota);
}

Outcome<Done> CutToQuota(Database& db, ReleaseRow& release, const LimitSettings& quota) {
  const std::string text = TRY(FindManifest(db, release.id));
  const Result<Manifest> manifest = ParseManifest(text, kManifestPath);
  if (!manifest.ok())
    return Refused(ProblemCode::kIntegrity, manifest.error().message);
  release.run = RunOf(manifest.value(), quota);
  TRY(SetRun(db, release.id, release.run));
  return Done();
}

ReleaseSpec SpecOf(const AppRow& app, const ReleaseRow& release, const Quota& quota,
                   std::uint64_t config) {
  return ReleaseSpec{
      .app_id = app.id,
      .app = app.name,
      .release = release.id,
      .version = release.version,
      .entry = release.run.entry,
      .limits = release.run.limits,
      .workers_min = release.run.workers_min,
      .workers_max = release.run.workers_max,
      .queue_max = release.run.queue_max,
      .concurrent_max = quota.limits.concurrent_max,
      .call_quota = {.cache = quota.cache, .persistence = quota.persistence, .query = quota.query},
      .config = config,
      .data = app.data};
}

Outcome<ReceivedRelease> ReceiveRelease(Database& db, const ReceiveRequest& request,
                                        const Change& change) {
  TRY(CheckAllPresent(db, request));
  std::string text = TRY(LoadManifest(db, request));
  const Result<Manifest> manifest = ParseManifest(text, kManifestPath);
  if (!manifest.ok()) {
    Manifest unknown;
    unknown.version = kNoVersion;
    return Create(db, request, std::move(text), unknown, change);
  }
  const Version version = TRY(Version::Parse(manifest.value().version));
  if (const std::optional<ReleaseRow> live = TRY(CheckVersion(db, request, version)))
    return ReceivedRelease{.release = *live, .created = false};
  return Create(db, request, std::move(text), manifest.value(), change);
}

}  // namespace cloister
