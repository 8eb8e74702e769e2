#include "daemon/workers/compile_job.h"

#include <chrono>
#include <csignal>
#include <utility>

#include "apis/wire/channel.h"

namespace cloister {
namespace {

Error Protocol(const char* what) {
  return Error{ErrorCode::kProtocol, what};
}

}  // namespace

CompileJob::CompileJob(WorkerEnv& env, ReleaseSpec spec, Owner& owner,
                       std::function<void(CompileOutcome)> done)
    : env_(env),
      spec_(std::move(spec)),
      owner_(owner),
      done_(std::move(done)),
      log_(env.logs, env.clock, spec_),
      process_(env, static_cast<WorkerProcess::Listener&>(*this)),
      started_at_(env.clock.Now()),
      timeout_(env.loop) {}

void CompileJob::Start(std::shared_ptr<const UniqueFd> source_image, Millis timeout) {
  process_.Start({.job = WorkerJob::kCompile,
                  .app_id = spec_.app_id,
                  .app = spec_.app.ToString(),
                  .version = spec_.version,
                  .entry = spec_.entry,
                  .limits = spec_.limits,
                  .group = GroupOf(spec_),
                  .image = std::move(source_image)});
  timeout_.Start(timeout, [this, timeout] {
    Fail("compile_timeout", "Compiling was not done within " + std::to_string(timeout.count()) +
                                " ms. Very large generated modules take long: split them.");
    process_.End();
  });
}

WorkerInfo CompileJob::Info() const {
  return {.id = process_.id(),
          .pid = process_.pid(),
          .app = spec_.app,
          .release = spec_.release,
          .version = spec_.version,
          .state = "compiling",
          .requests = 0,
          .request_id = {},
          .age = std::chrono::duration_cast<Millis>(env_.clock.Now() - started_at_),
          .memory_bytes = 0};
}

void CompileJob::Fail(std::string code, std::string message) {
  outcome_.failure = std::make_unique<BootFailure>();
  outcome_.failure->code = std::move(code);
  outcome_.failure->message = std::move(message);
}

void CompileJob::OnProcessFrame(const Frame& frame) {
  const Result<void> taken = TakeFrame(frame);
  if (!taken.ok())
    OnProcessGarbage(taken.error());
}

void CompileJob::OnProcessGarbage(const Error& error) {
  Fail("worker_protocol", "The compiling worker broke the rules of its channel: " + error.message);
  process_.End();
}

Result<void> CompileJob::TakeFrame(const Frame& frame) {
  if ((in_file_ && frame.type != FrameType::kCode) ||
      (log_.in_event() && frame.type != FrameType::kLog))
    return Protocol("a frame in the middle of another thing");
  switch (frame.type) {
    case FrameType::kCode:
      return TakeCode(frame);
    case FrameType::kBootFailed:
      return TakeFailed(frame);
    case FrameType::kReady:
      complete_ = true;
      process_.End();
      return {};
    case FrameType::kLog:
      return log_.TakeLog(frame, {});
    case FrameType::kRefused:
      return log_.TakeRefused(frame);
    default:
      return Protocol("a frame that is not for a worker that compiles");
  }
}

Result<void> CompileJob::TakeCode(const Frame& frame) {
  WireReader reader(frame.payload);
  const std::string_view path = reader.Str16();
  const std::string_view piece = reader.Rest();
  if (!reader.ok() || path.empty())
    return Protocol("malformed code");
  std::vector<CompiledCode>& code = outcome_.code;
  if (!in_file_ && code.size() == kCompiledFilesMax)
    return Protocol("more code than there can be files");
  if (!in_file_)
    code.push_back({.path = std::string(path), .code = {}});
  if (code.back().path != path)
    return Protocol("code of another file in the middle of one");
  total_ += path.size() + piece.size();
  if (code.back().code.size() + piece.size() > kCompiledFileMax || total_ > kCompiledTotalMax)
    return Protocol("more code than is allowed");
  code.back().code += piece;
  in_file_ = frame.Has(kFrameMore);
  return {};
}

Result<void> CompileJob::TakeFailed(const Frame& frame) {
  WireReader reader(frame.payload);
  const BootReport report = TRY(BootReport::Decode(reader));
  outcome_.failure = std::make_unique<BootFailure>(OwnedFailure(report));
  process_.End();
  return {};
}

void CompileJob::OnProcessEnded(const ProcessEnd& end) {
  timeout_.Stop();
  if (!complete_ && outcome_.failure == nullptr)
    Fail(end.how == ProcessEnd::How::kNotMade ? "sandbox_failed" : "worker_died",
         "While it compiled the release the worker " + DescribeEnd(end, spec_.limits) + ".");
  if (outcome_.failure != nullptr)
    outcome_.code.clear();
  // Moved out first: `done` may bring the next job about.
  const auto done = std::exchange(done_, nullptr);
  CompileOutcome outcome = std::move(outcome_);
  owner_.OnCompileOver(*this);
  done(std::move(outcome));
}

}  // namespace cloister
