#include "daemon/admin/release_json.h"

#include <nlohmann/json.hpp>

#include "daemon/store/config_rows.h"
#include "daemon/workers/process_memory.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

const char* OutcomeName(StepOutcome outcome) {
  switch (outcome) {
    case StepOutcome::kRunning:
      return "running";
    case StepOutcome::kDone:
      return "done";
    case StepOutcome::kFailed:
      return "failed";
  }
  return "";
}

Json StepJson(const StepRow& step) {
  const bool running = step.outcome == StepOutcome::kRunning;
  return {{"sequence", step.sequence},
          {"name", step.name},
          {"outcome", OutcomeName(step.outcome)},
          {"started_at", TimeText(step.started_at)},
          {"ended_at", running ? Json() : Json(TimeText(step.ended_at))},
          {"detail", step.detail}};
}

Json ReportJson(const ReportRow& report) {
  return {{"code", report.code}, {"message", report.message},     {"file", report.file},
          {"line", report.line}, {"traceback", report.traceback}, {"advice", report.advice}};
}

// The step that led to the present state ended then; a release that drains began to. Changes of the
// config lead to no other state.
WallTime SinceOf(const ReleaseView& view) {
  WallTime since = view.release.created_at;
  const std::string_view state = ReleaseStateName(view.release.state);
  for (const StepRow& step : view.steps) {
    if (step.name.starts_with(kConfigStepBegin))
      continue;
    if (step.outcome != StepOutcome::kRunning)
      since = step.ended_at;
    else if (step.name == state)
      since = step.started_at;
  }
  return since;
}

Json RunningJson(const WorkerInfo& worker) {
  return {{"request", worker.request_id},
          {"worker", worker.id.number},
          {"age_ms", worker.request_age.count()}};
}

// What runs of the release, into its object.
void AddCensus(Json& release, const std::vector<WorkerInfo>& workers) {
  Json running = Json::array();
  std::uint64_t memory = 0;
  std::size_t processes = 0;
  for (const WorkerInfo& worker : workers) {
    memory += worker.memory_bytes;
    processes += worker.pid != 0 ? 1 : 0;
    if (!worker.request_id.empty())
      running.push_back(RunningJson(worker));
    if (worker.state == kBackingOff)
      release["backing_off_ms"] = worker.age.count();
  }
  release["workers"] = processes;
  release["memory_bytes"] = memory;
  release["running"] = std::move(running);
}

}  // namespace

Census ReadCensus(const AdminContext& context, const AppName& app) {
  std::vector<WorkerInfo> workers = context.parts.workers.List();
  std::erase_if(workers, [&app](const WorkerInfo& worker) { return worker.app != app; });
  MeasureMemory(workers);
  Census census;
  for (WorkerInfo& worker : workers)
    census[worker.release].push_back(std::move(worker));
  return census;
}

Json ViewJson(const AdminContext& context, const AppName& app, const ReleaseView& view,
              const Census& census) {
  const ReleaseRow& release = view.release;
  Json steps = Json::array();
  for (const StepRow& step : view.steps)
    steps.push_back(StepJson(step));
  Json json = {{"id", release.id.number},
               {"app", app.ToString()},
               {"version", release.version},
               {"attempt", release.attempt},
               {"state", ReleaseStateName(release.state)},
               {"under_way", view.under_way},
               {"since", TimeText(SinceOf(view))},
               {"goal", ReleaseGoalName(release.goal)},
               {"was_live", release.live_sequence > 0},
               {"pinned", release.pinned},
               {"digest", release.digest.Hex()},
               {"entry", release.run.entry},
               {"created_at", TimeText(release.created_at)},
               {"created_by", release.created_by},
               {"steps", std::move(steps)},
               {"report", view.report ? ReportJson(*view.report) : Json()},
               {"url", context.UrlOf(app)}};
  if (release.goal == ReleaseGoal::kCanary)
    json["canary_percent"] = release.canary_percent;
  const auto workers = census.find(release.id);
  AddCensus(json, workers == census.end() ? std::vector<WorkerInfo>() : workers->second);
  return json;
}

}  // namespace cloister
