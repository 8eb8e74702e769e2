#include "daemon/workers/worker_log.h"

#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include "apis/backends/sodium.h"
#include "apis/wire/channel.h"
#include "apis/wire/event_fields.h"
#include "daemon/logs/redactor.h"

namespace cloister {
namespace {

std::string DescribeSignal(int signal, const WorkerLimits& limits) {
  const std::string memory = std::to_string(limits.memory_max.count >> 20) + " MiB";
  switch (signal) {
    case SIGKILL:
      return "was killed by the system, as happens when it needs more than its memory limit of " +
             memory + ": use less memory, or raise memory under [limits] in cloister.toml";
    case SIGSYS:
      return "was ended because it made a system call that no app may make (SIGSYS)";
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
      return "crashed (signal " + std::to_string(signal) +
             "); native code does so on errors, also when it gets no more memory (limit " + memory +
             ") or its stack overflows";
    default:
      return "was ended by signal " + std::to_string(signal);
  }
}

// Where a secret is looked for that stands in two events; a longer one's end may be missed.
constexpr std::size_t kSaidMax = 4096;
// An event of so much without an end of line is a part of a long one.
constexpr std::size_t kLongLine = 32768;

// Of a worker whose config changes while it lives.
constexpr std::size_t kRedactorsMax = 16;

// What a worker may say of its boot; all else is the node's own word.
constexpr auto kCodesOfWorkers = std::to_array<std::string_view>(
    {"app_raised", "boot_timeout", "entry_missing", "entry_not_callable", "import_error",
     "memory_exceeded", "module_denied", "syntax_error"});

bool IsCallName(std::string_view name) {
  constexpr std::size_t kCallNameMax = 64;
  return !name.empty() && name.size() <= kCallNameMax && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

LogEvent WorkerLog::NewEvent(std::string_view request_id) const {
  LogEvent event;
  event.time = clock_.Wall();
  event.app = app_;
  event.app_name = app_name_;
  event.release = version_;
  event.check = check_;
  event.worker = worker_;
  event.request_id = request_id;
  event.secrets = secrets_;
  return event;
}

bool WorkerLog::AddSecrets(std::shared_ptr<const Redactor> redactor) {
  if (redactor == nullptr)
    return true;
  // Events that are on their way keep the list that they have.
  Redactors all = secrets_ == nullptr ? Redactors() : *secrets_;
  all.push_back(std::move(redactor));
  const bool has_room = all.size() < kRedactorsMax;
  secrets_ = std::make_shared<const Redactors>(std::move(all));
  return has_room;
}

void WorkerLog::Redact(std::string& text) const {
  if (secrets_ != nullptr)
    for (const std::shared_ptr<const Redactor>& redactor : *secrets_)
      redactor->RedactMarked(text);
}

Result<void> WorkerLog::TakeLog(const Frame& frame, std::string_view request_id) {
  WireReader reader(frame.payload);
  const LogHead head = TRY(LogHead::Decode(reader));
  const std::string_view piece = reader.Rest();
  // What would be lost costs no more than that: it may come without end.
  if (declining_ || (!unfinished_.has_value() &&
                     sink_.Decline({.app = app_,
                                    .bytes = piece.size(),
                                    .names = head.logger.size() + head.fields.size()}))) {
    declining_ = frame.Has(kFrameMore);
    if (IsStream(head.source))
      Remember(head.source, piece);
    return {};
  }
  LogEvent event = unfinished_.has_value() ? std::move(*unfinished_) : NewEvent(request_id);
  if (!unfinished_.has_value()) {
    event.source = head.source;
    event.level = head.level;
    event.logger = head.logger.substr(0, kLoggerMax);
    if (IsStream(event.source))
      event.before = SaidOn(event.source);
    TRY(ReadEventFields(head.fields));
    event.fields = head.fields;
  }
  const std::size_t room = kLogEventMax - event.bytes.size();
  event.bytes += piece.substr(0, room);
  event.cut = event.cut || piece.size() > room;
  if (IsStream(event.source))
    Remember(event.source, piece);
  event.goes_on =
      IsStream(event.source) && event.bytes.size() >= kLongLine && !piece.ends_with('\n');
  unfinished_.reset();
  if (frame.Has(kFrameMore))
    unfinished_ = std::move(event);
  else
    sink_.Append(std::move(event));
  return {};
}

void WorkerLog::Remember(LogSource source, std::string_view piece) {
  std::string& said = SaidOn(source);
  if (secrets_ == nullptr || piece.ends_with('\n')) {
    WipeBytes(said);
    said.clear();
    return;
  }
  said += piece.substr(piece.size() - std::min(piece.size(), kSaidMax));
  if (said.size() > kSaidMax)
    said.erase(0, said.size() - kSaidMax);
}

Result<void> WorkerLog::TakeRefused(const Frame& frame) {
  WireReader reader(frame.payload);
  const std::string_view name = reader.Str16();
  const std::uint32_t count = reader.U32();
  // The node repeats it in its own words.
  if (!reader.AtEnd() || !IsCallName(name))
    return Error{ErrorCode::kProtocol, "malformed count of refused calls"};
  if (sink_.Decline({.app = app_, .by_node = true, .bytes = frame.payload.size()}))
    return {};
  Say(kLogWarning, "Refused " + std::to_string(count) + " times: " + std::string(name) +
                       ". An app can compute and use the platform's APIs, nothing else.");
  return {};
}

void WorkerLog::Say(std::uint8_t level, std::string text, std::string_view request_id) {
  LogEvent event = NewEvent(request_id);
  event.source = LogSource::kRuntime;
  event.by_node = true;
  event.level = level;
  event.bytes = std::move(text);
  sink_.Append(std::move(event));
}

BootFailure OwnedFailure(const BootReport& report) {
  const bool is_code = std::ranges::find(kCodesOfWorkers, report.code) != kCodesOfWorkers.end();
  return {.code = std::string(is_code ? report.code : "boot_failed"),
          .message = std::string(report.message),
          .file = std::string(report.file),
          .line = report.line,
          .traceback = std::string(report.traceback)};
}

ProcessEnd EndOf(std::uint32_t wait_status) {
  const auto status = static_cast<int>(wait_status);
  if (WIFEXITED(status))
    return {.how = ProcessEnd::How::kExited, .number = WEXITSTATUS(status), .error = {}};
  return {.how = ProcessEnd::How::kSignalled, .number = WTERMSIG(status), .error = {}};
}

std::string DescribeEnd(const ProcessEnd& end, const WorkerLimits& limits) {
  switch (end.how) {
    case ProcessEnd::How::kExited:
      return "ended by itself with exit code " + std::to_string(end.number) +
             ": an app must not end its process (os._exit, or native code that calls exit)";
    case ProcessEnd::How::kSignalled:
      return DescribeSignal(end.number, limits);
    case ProcessEnd::How::kUnknown:
      return "ended for a reason that is not known";
    case ProcessEnd::How::kNotMade:
      return "could not be made: " + end.error;
  }
  return {};
}

std::string DescribeCrashes(const CrashRow& row) {
  const std::string times = std::to_string(row.times) + " times in a row";
  const std::string next = std::to_string(row.next.count()) + " ms";
  const std::string app(row.app);
  if (row.of_node)
    return "No worker of this release could be started, " + times +
           ". This is not the app's fault: the node's own log has the reason. The next one is "
           "tried in " +
           next + "; until then requests may get a 503.";
  if (row.some_serve)
    return "New workers of this release ended " + times +
           "; those that serve go on as they are. The next one is tried in " + next +
           ". If a quota was lowered lately, it may be too low: `cloister quota show " + app + "`.";
  return "Workers of this release ended " + times + "; the next one starts in " + next +
         ". If that is long, requests get a 503 until then. `cloister rollback " + app +
         "` goes back to the release before.";
}

BootFailure BootFailureOf(const ProcessEnd& end, const WorkerLimits& limits) {
  BootFailure failure;
  failure.code = "worker_died";
  if (end.how == ProcessEnd::How::kNotMade)
    failure.code = "sandbox_failed";
  else if (end.how == ProcessEnd::How::kSignalled && end.number == SIGKILL)
    failure.code = "memory_exceeded";
  failure.message =
      "While it imported the entry point the worker " + DescribeEnd(end, limits) + ".";
  return failure;
}

}  // namespace cloister
