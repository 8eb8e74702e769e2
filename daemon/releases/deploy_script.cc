// The part of Deploy that runs the script of a release.

#include <utility>

#include "config/versions.h"
#include "daemon/releases/deploy.h"
#include "daemon/releases/deploy_text.h"
#include "daemon/workers/query_files.h"

namespace cloister {

bool Deploy::WantsScript() const {
  if (config_.is_change || config_.snapshot || release_.state == ReleaseState::kCanary)
    return false;
  // What is gone back to finds the data that came after it.
  return !HasServed() || IsAhead();
}

bool Deploy::IsAhead() const {
  const AppEntry* entry = parts_.catalog.FindApp(app_.name, app_.id);
  if (entry == nullptr || !entry->live)
    return true;
  const Result<Version> live = Version::Parse(entry->live->version);
  const Result<Version> next = Version::Parse(release_.version);
  return live.ok() && next.ok() && next.value() > live.value();
}

void Deploy::RunScript(Action next) {
  after_script_ = next;
  parts_.state.Read(
      app_.id.number,
      [id = release_.id](Database& db) -> Result<Manifest> {
        return ParseManifest(TRY(FindManifest(db, id)), kManifestPath);
      },
      Then(&Deploy::OnManifest));
}

void Deploy::OnManifest(Result<Manifest> manifest) {
  if (!manifest.ok())
    return FailFor(manifest.error());
  manifest_ = std::move(manifest).value();
  if (manifest_.release_entry.empty() || !WantsScript())
    return (this->*after_script_)();
  if (booted_ == Booted::kServing)
    return TakeSnapshot();
  // The checks would see what the script has not touched.
  if (release_.rehearsal == Rehearsal::kNo)
    return Finish("not rehearsed: the release script runs for good only, nothing was checked");
  StartScript();
}

void Deploy::TakeSnapshot() {
  const AppEntry* entry = parts_.catalog.FindApp(app_.name, app_.id);
  if (entry == nullptr || !entry->live)
    return StartScript();
  parts_.data.TakeSnapshot(app_, {.id = entry->live->id, .version = entry->live->version},
                           release_.version, Then(&Deploy::OnSnapshot));
}

void Deploy::OnSnapshot(Result<std::string> snapshot) {
  if (!snapshot.ok())
    return FailFor(snapshot.error(), "snapshot_failed");
  script_said_ = snapshot.value();
  StartScript();
}

void Deploy::StartScript() {
  script_ = std::make_unique<ReleaseScript>(
      ReleaseScript::Parts{.loop = parts_.loop, .clock = parts_.clock, .workers = parts_.workers},
      Run(), manifest_.release_entry, Then(&Deploy::OnScript));
}

void Deploy::OnScript(std::optional<ReportRow> failure) {
  const auto script = std::move(script_);
  if (failure) {
    report_ = {.code = failure->code,
               .message = Cut(failure->message, kMessageMax),
               .file = Cut(failure->file, kMessageMax),
               .line = failure->line,
               .traceback = Cut(failure->traceback, kTracebackMax)};
    if (booted_ == Booted::kOverlay)
      return parts_.data.Measure(app_, Then(&Deploy::OnMeasured));
    return Fail(report_);
  }
  script_said_ += "release script " + Milliseconds(script->time()) + ", ";
  (this->*after_script_)();
}

void Deploy::OnMeasured(Result<Bytes> size) {
  // Of a larger one there is no copy to write on.
  if (size.ok() && size.value() > kQueryCopyMax && report_.code == "release_failed")
    report_.code = "rehearsal_read_only";
  Fail(report_);
}

}  // namespace cloister
