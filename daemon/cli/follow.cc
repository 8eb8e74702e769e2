#include "daemon/cli/follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <set>
#include <thread>

#include <nlohmann/json.hpp>

#include "daemon/cli/last_words.h"
#include "daemon/cli/progress.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

constexpr Millis kWait{10000};
// A node that restarts is back within this time.
constexpr Millis kLostMax{30000};
constexpr Millis kLostPause{250};
// Between answers that say nothing new, should a node not hold them back.
constexpr Millis kNothingNewPause{50};

// "2026-11-21T10:05:03.123456Z" to microseconds since 1970; empty when it is not that.
std::optional<std::int64_t> ParseTime(const std::string& text) {
  std::tm when{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &when);
  if (rest == nullptr)
    return std::nullopt;
  std::int64_t micros = 0;
  if (*rest == '.')
    ++rest;
  for (std::int64_t unit = 100000; unit > 0; unit /= 10)
    if (*rest >= '0' && *rest <= '9')
      micros += (*rest++ - '0') * unit;
  return std::int64_t{::timegm(&when)} * 1000000 + micros;
}

std::string StepTime(const Json& step) {
  const auto started = ParseTime(TextOf(step, "started_at"));
  const auto ended = ParseTime(TextOf(step, "ended_at"));
  if (!started || !ended)
    return "";
  return FormatDuration(Millis((*ended - *started + 500) / 1000));
}

class Follower {
 public:
  Follower(AdminApi& api, std::string target, std::uint64_t seen, Console& console)
      : api_(api), target_(std::move(target)), console_(console), seen_(seen), first_(seen) {}

  Attempt<Json> Run() {
    for (;;) {
      Json answer = TRY(AskPatiently());
      const Json& release = ObjectOf(answer, "release");
      const std::size_t before = shown_.size();
      for (const Json& step : ListOf(release, "steps"))
        Show(step, FlagOf(release, "under_way"));
      if (!FlagOf(release, "under_way"))
        return answer;
      if (shown_.size() == before)
        std::this_thread::sleep_for(kNothingNewPause);
    }
  }

 private:
  Attempt<Json> AskPatiently() {
    const std::string target = fmt::format("{}?after={}&wait_ms={}", target_, seen_, kWait.count());
    const MonotonicTime until = clock_.Now() + kLostMax;
    for (bool told = false;; told = true) {
      Attempt<Json> answer = api_.Get(target, kWait);
      if (answer.ok() || !IsBrokenConnection(answer.error()) || clock_.Now() > until)
        return answer;
      if (!told)
        console_.Note("the connection to the node broke: waiting for it");
      std::this_thread::sleep_for(kLostPause);
    }
  }

  // `goes_on`: a step that failed is begun again, else the report says why it did.
  void Show(const Json& step, bool goes_on) {
    const std::string name = TextOf(step, "name");
    const std::string outcome = TextOf(step, "outcome");
    if (outcome == "running") {
      console_.Status("  " + name + " ...");
      return;
    }
    const std::uint64_t sequence = NumberOf(step, "sequence");
    if (sequence <= first_)
      return;
    seen_ = std::max(seen_, sequence);
    if (!shown_.insert(sequence).second)
      return;
    const bool done = outcome == "done";
    std::string line =
        fmt::format("  {:<9} {} {}", name,
                    done ? console_.Colour(Paint::kGreen, "✓") : console_.Colour(Paint::kRed, "✗"),
                    StepTime(step));
    if (const std::string detail = TextOf(step, "detail"); (done || goes_on) && !detail.empty())
      line += console_.Colour(Paint::kDim, "  " + Harmless(detail));
    console_.Line(line);
  }

  AdminApi& api_;
  std::string target_;
  Console& console_;
  SystemClock clock_;
  std::uint64_t seen_;
  std::uint64_t first_;  // steps up to this one are of an earlier walk
  std::set<std::uint64_t> shown_;
};

}  // namespace

Attempt<Json> FollowRelease(AdminApi& api, const AppName& app, const Json& release,
                            std::uint64_t seen, Console& console) {
  const std::string target = AppTarget(app, "/releases/" + std::to_string(NumberOf(release, "id")));
  const LastWords if_interrupted(
      "interrupted; the node goes on. What becomes of it: cloister releases " + app.ToString());
  return Follower(api, target, seen, console).Run();
}

std::uint64_t LastStep(const Json& release) {
  std::uint64_t last = 0;
  for (const Json& step : ListOf(release, "steps"))
    last = std::max(last, NumberOf(step, "sequence"));
  return last;
}

Failure RejectionOf(const Json& release) {
  const Json& report = ObjectOf(release, "report");
  Failure failure;
  failure.exit = ExitCode::kRefused;
  failure.code = TextOf(report, "code");
  if (failure.code.empty())
    failure.code = "rejected";
  failure.what = TextOf(report, "message");
  if (failure.what.empty())
    failure.what = "the release was rejected";
  if (const std::string file = TextOf(report, "file"); !file.empty()) {
    const std::uint64_t line = NumberOf(report, "line");
    failure.what = file + (line > 0 ? ":" + std::to_string(line) : "") + ": " + failure.what;
  }
  failure.detail = TextOf(report, "traceback");
  failure.advice = TextOf(report, "advice");
  return failure;
}

}  // namespace cloister
