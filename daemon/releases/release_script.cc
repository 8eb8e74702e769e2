#include "daemon/releases/release_script.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "daemon/releases/checks.h"

namespace cloister {
namespace {

// A report has 64 KiB of a traceback, and what stands before it.
constexpr std::size_t kAnswerMax = std::size_t{96} * 1024;

ReportRow FailureOf(const NodeAnswer& answer) {
  if (answer.problem == "wall_time_exceeded")
    return {.code = "release_timeout",
            .message = fmt::format("[entry] release did not return within {} minutes",
                                   kReleaseScriptMax / std::chrono::minutes(1))};
  if (answer.problem == "worker_died")
    return {.code = "release_failed",
            .message = "the worker ended while [entry] release ran; the app's log says how"};
  if (!answer.problem.empty())
    return {.code = std::string(ReportCodeOf(answer.problem, "release_failed")),
            .message = "[entry] release did not return (" + answer.problem + ")"};
  if (answer.how != NodeAnswer::How::kWhole || answer.status != 422)
    return {.code = "release_failed", .message = "[entry] release gave no answer that can be read"};
  return ParseScriptFailure(answer.body);
}

}  // namespace

ReportRow ParseScriptFailure(std::string_view text) {
  const auto next_line = [&text] {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
  };
  ReportRow report{.code = "release_failed"};
  report.file = next_line();
  const std::string_view line = next_line();
  (void)std::from_chars(line.data(), line.data() + line.size(), report.line);
  report.message = "[entry] release failed: " + std::string(next_line());
  report.traceback = text;
  return report;
}

ReleaseScript::ReleaseScript(const Parts& parts, RunId run, const std::string& entry,
                             std::function<void(std::optional<ReportRow>)> done)
    : clock_(parts.clock),
      done_(std::move(done)),
      began_(parts.clock.Now()),
      exchange_({.loop = parts.loop, .clock = parts.clock},
                {.for_runtime = true, .ends_worker = true, .wall_max = kReleaseScriptMax},
                kAnswerMax, [this] { OnAnswer(); }) {
  exchange_.SetCall("release", {.name = "entry", .value = entry}, "");
  parts.workers.Dispatch(run, exchange_);
}

void ReleaseScript::OnAnswer() {
  const NodeAnswer& answer = exchange_.answer();
  const bool passed =
      answer.how == NodeAnswer::How::kWhole && answer.problem.empty() && answer.status == 200;
  const auto done = std::move(done_);
  done(passed ? std::nullopt : std::optional(FailureOf(answer)));
}

}  // namespace cloister
