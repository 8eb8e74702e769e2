#include "daemon/releases/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "apis/base/unicode.h"

namespace cloister {
namespace {

constexpr std::size_t kShownMax = 4096;  // of a head or a body, in a report
// Of the status 0: any but a server error.
constexpr std::uint32_t kNoServerError = 0;
constexpr int kServerErrors = 500;

// Where the node had to answer instead of the app, and that is not a fault of the answer.
struct ProblemRow {
  std::string_view problem;
  std::string_view code;
};
constexpr std::array kProblems = {
    ProblemRow{"worker_died", "check_worker_died"},
    ProblemRow{"no_release", "cancelled"},
    ProblemRow{"node_stopping", "interrupted"},
    ProblemRow{"workers_unavailable", "sandbox_failed"},
};

ManifestCheck DefaultCheck() {
  return {.path = "/", .status = kNoServerError};
}

// As a client would send it.
std::string HeadOf(const ManifestCheck& check, const std::string& host) {
  std::string head = check.method + " " + check.path + " HTTP/1.1\r\n";
  const auto names = [&check](std::string_view name) {
    return std::ranges::find(check.headers, name, &CheckHeader::name) != check.headers.end();
  };
  if (!names("host"))
    head += "host: " + host + "\r\n";
  if (!names("user-agent"))
    head += "user-agent: cloister-check\r\n";
  for (const CheckHeader& header : check.headers)
    head += header.name + ": " + header.value + "\r\n";
  if (!check.body.empty())
    head += "content-length: " + std::to_string(check.body.size()) + "\r\n";
  return head + "\r\n";
}

// For a person's eyes: the beginning, as text, without what could steer a terminal.
std::string Shown(std::string_view bytes) {
  std::string shown;
  for (const char c : bytes.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\r')
      continue;
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f)
      shown += fmt::format("\\x{:02x}", byte);
    else
      shown += c;
  }
  shown = Utf8OrReplaced(shown);
  if (bytes.size() > kShownMax)
    shown += fmt::format("\n... {} more bytes", bytes.size() - kShownMax);
  return shown;
}

// In a message of one line.
std::string Quoted(std::string_view text) {
  constexpr std::size_t kQuotedMax = 200;
  return '"' + Shown(text.substr(0, kQuotedMax)) + (text.size() > kQuotedMax ? "...\"" : "\"");
}

std::string Milliseconds(Micros time) {
  return fmt::format("{:.1f} ms", static_cast<double>(time.count()) / 1000.0);
}

}  // namespace

std::string_view ReportCodeOf(std::string_view problem, std::string_view otherwise) {
  const auto* const row = std::ranges::find(kProblems, problem, &ProblemRow::problem);
  return row == kProblems.end() ? otherwise : row->code;
}

CheckRun::CheckRun(const Parts& parts, ReleaseSpec spec, std::vector<ManifestCheck> checks,
                   std::string host)
    : parts_(parts), spec_(std::move(spec)), checks_(std::move(checks)), host_(std::move(host)) {
  if (checks_.empty())
    checks_.push_back(DefaultCheck());
}

CheckRun::~CheckRun() = default;

void CheckRun::Start(std::function<void(CheckOutcome)> done) {
  done_ = std::move(done);
  Ask();
}

Millis CheckRun::TimeMax() const {
  return std::min(check().time, spec_.limits.wall_max);
}

void CheckRun::Ask() {
  head_ = HeadOf(check(), host_);
  asked_at_ = parts_.clock.Now();
  exchange_ = std::make_unique<NodeExchange>(
      NodeExchange::Parts{.loop = parts_.loop, .clock = parts_.clock},
      NodeTerms{.ends_worker = true, .wall_max = TimeMax()}, kBodyMax, [this] { OnAnswer(); });
  if (const auto refusal = exchange_->SetRequest(head_, check().body); refusal.has_value()) {
    exchange_.reset();
    return Fail("check_failed", "no client could ask this: " + std::string(refusal->detail));
  }
  parts_.router.Serve({.run = spec_.run(),
                       .app = spec_.app,
                       .version = spec_.version,
                       .statics = parts_.statics.get()},
                      *exchange_);
}

void CheckRun::OnAnswer() {
  const Micros time = parts_.clock.Now() - asked_at_;
  if (!IsAsExpected())
    return;
  if (time > slowest_time_) {
    slowest_time_ = time;
    slowest_ = Subject();
  }
  if (check().matches.empty())
    return Pass();
  AskPattern();
}

bool CheckRun::IsAsExpected() {
  const NodeAnswer& answer = exchange_->answer();
  if (answer.how == NodeAnswer::How::kTooLarge) {
    Fail("check_too_large", "the response has more than 1 MiB");
    return false;
  }
  if (!answer.problem.empty() || answer.how == NodeAnswer::How::kCut) {
    FailFor(answer);
    return false;
  }
  const bool any = check().status == kNoServerError;
  const bool status_ok =
      any ? answer.status < kServerErrors : answer.status == static_cast<int>(check().status);
  if (!status_ok) {
    Fail("check_failed", any ? fmt::format("expected no server error, got {}", answer.status)
                             : fmt::format("expected {}, got {}", check().status, answer.status));
    return false;
  }
  if (answer.body.find(check().contains) == std::string::npos) {
    Fail("check_failed", "the body does not contain " + Quoted(check().contains));
    return false;
  }
  return true;
}

// The node had to answer, or the answer broke off.
void CheckRun::FailFor(const NodeAnswer& answer) {
  if (answer.problem == "wall_time_exceeded")
    return Fail("check_timeout", fmt::format("no answer within {} ms", TimeMax().count()));
  if (answer.problem.empty())
    return Fail("check_failed", "the response broke off before its Content-Length");
  Fail(ReportCodeOf(answer.problem, "check_failed"),
       "no answer of the app (" + answer.problem + ")");
}

// In the app's own worker: a pattern is the tenant's code.
void CheckRun::AskPattern() {
  pattern_exchange_ = std::make_unique<NodeExchange>(
      NodeExchange::Parts{.loop = parts_.loop, .clock = parts_.clock},
      NodeTerms{.for_runtime = true, .ends_worker = true, .wall_max = TimeMax()}, kShownMax,
      [this] { OnPatternAnswer(); });
  pattern_exchange_->SetCall("match", {.name = "pattern", .value = check().matches},
                             exchange_->answer().body);
  parts_.workers.Dispatch(spec_.run(), *pattern_exchange_);
}

void CheckRun::OnPatternAnswer() {
  const NodeAnswer& answer = pattern_exchange_->answer();
  if (answer.problem == "wall_time_exceeded")
    return Fail("check_pattern_timeout",
                fmt::format("the pattern was not done within {} ms", TimeMax().count()));
  if (!answer.problem.empty())
    return FailFor(answer);
  if (answer.status == 422)
    return Fail("check_pattern_invalid", "the pattern is none: " + Answered(answer.body));
  if (answer.status != 200)
    return Fail("check_failed", "the pattern could not be tried");
  if (answer.body != "1")
    return Fail("check_failed", "the body does not match " + Quoted(check().matches));
  Pass();
}

void CheckRun::Pass() {
  pattern_exchange_.reset();
  ++next_;
  if (next_ < checks_.size())
    return Ask();
  End({.summary = fmt::format("{} {}, slowest {} {}", checks_.size(),
                              checks_.size() == 1 ? "check" : "checks", slowest_,
                              Milliseconds(slowest_time_)),
       .failure = std::nullopt});
}

void CheckRun::Fail(std::string_view code, std::string_view why) {
  std::string message = Subject() + ": " + std::string(why);
  std::ranges::replace(message, '\n', ' ');
  ReportRow report{.code = std::string(code), .message = std::move(message)};
  report.traceback = Transcript();
  End({.summary = {}, .failure = std::move(report)});
}

std::string CheckRun::Answered(std::string_view bytes) const {
  std::string clean(bytes);
  if (spec_.values != nullptr && spec_.values->redactor != nullptr)
    spec_.values->redactor->Redact(clean);
  return Shown(clean);
}

std::string CheckRun::Transcript() const {
  std::string text = "The request:\n\n" + Shown(head_);
  if (!check().body.empty())
    text += Shown(check().body) + "\n\n";
  if (exchange_ == nullptr)
    return text;
  const NodeAnswer& answer = exchange_->answer();
  text += "The response:\n\n";
  text += answer.status == 0
              ? "none\n"
              : fmt::format("HTTP/1.1 {} {}\n{}\n{}\n", answer.status, Answered(answer.reason),
                            Answered(answer.headers), Answered(answer.body));
  text += fmt::format("\nWhat the app said meanwhile:\n\n  cloister logs {} --request {}\n",
                      spec_.app.ToString(), exchange_->request_id());
  return text;
}

void CheckRun::End(CheckOutcome outcome) {
  outcome_ = std::move(outcome);
  parts_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
}

void CheckRun::OnTurnEnd() {
  const std::function<void(CheckOutcome)> done = std::move(done_);
  done(std::move(outcome_));
}

}  // namespace cloister
