#include "apis/persistence/streams.h"

#include <utility>
#include <vector>

namespace cloister {
namespace {

ObjectReply Gone() {
  CallFailure failure;
  failure.code = "stream_gone";
  failure.message = "this object is not being written any more";
  return {.bytes = EncodeReply(failure), .refused = {}};
}

}  // namespace

void ObjectStreams::Begin(CallId id, const CallOrigin& origin) {
  Use& use = uses_[PlaceOf(origin)];
  if (use.streams >= kOpenMax) {
    CallFailure failure;
    failure.code = "too_many_streams";
    failure.message = "an app may write 32 objects in pieces at one time";
    return service_.parts_.answers.Answer(id, EncodeReply(failure));
  }
  ++use.streams;
  const std::uint64_t number = ++last_;
  Stream& stream = streams_[number];
  stream.app = origin.app;
  stream.overlay = origin.overlay;
  stream.caller = origin.caller;
  stream.writer = service_.MakeWriter(origin);
  // By the lane: from then on the app's totals are known.
  service_.Queue(origin, id, PersistenceService::LaneKind::kRead,
                 [number](Objects&) -> Result<ObjectReply> {
                   return ObjectReply{.bytes = EncodeReply(ObjectBeginResult{.stream = number}),
                                      .refused = {}};
                 });
}

ObjectStreams::Stream* ObjectStreams::FindOrFail(CallId id, const CallOrigin& origin,
                                                 std::uint64_t number) {
  const auto found = streams_.find(number);
  if (found != streams_.end() && found->second.caller == origin.caller && !found->second.ending)
    return &found->second;
  service_.Deliver(origin.app, id, Gone());
  return nullptr;
}

ObjectReply ObjectStreams::Refuse(const CallOrigin& origin, const Stream& stream,
                                  std::size_t more) {
  const PersistenceQuota& quota = origin.quota.persistence;
  const std::uint64_t open = uses_[PlaceOf(origin)].bytes + more;
  if (origin.overlay != 0 && open > ObjectOverlay::kBytesMax)
    return FailedReply(Error{ErrorCode::kQuotaExceeded, "a check may write 32 MiB of objects"});
  if (stream.size + more > quota.object_max.count)
    return RefusedReply({.quota = "persistence.object",
                         .limit = quota.object_max.count,
                         .used = stream.size + more});
  // What is open counts already, so that it never fills more of the disk.
  const std::uint64_t used = service_.apps_[origin.app].totals.charged() + open;
  if (used > quota.bytes_max.count)
    return RefusedReply(
        {.quota = "persistence.bytes", .limit = quota.bytes_max.count, .used = used});
  return {};
}

Result<void> ObjectStreams::Append(CallId id, const CallOrigin& origin, std::string_view args) {
  const ObjectAppend call = TRY(DecodeFields<ObjectAppend>(args));
  Stream* stream = FindOrFail(id, origin, call.stream);
  if (stream == nullptr)
    return {};
  ObjectReply refused = Refuse(origin, *stream, call.data.size());
  if (!refused.bytes.empty()) {
    Remove(call.stream);
    service_.Deliver(origin.app, id, std::move(refused));
    return {};
  }
  stream->size += call.data.size();
  uses_[PlaceOf(origin)].bytes += call.data.size();
  stream->waiting.push_back(
      {.id = id, .origin = origin, .data = std::make_shared<std::string>(call.data)});
  Advance(call.stream);
  return {};
}

Result<void> ObjectStreams::Finish(CallId id, const CallOrigin& origin, std::string_view args) {
  const ObjectFinish call = TRY(DecodeFields<ObjectFinish>(args));
  Stream* stream = FindOrFail(id, origin, call.stream);
  if (stream == nullptr)
    return {};
  stream->ending = true;
  stream->waiting.push_back({.id = id, .origin = origin, .data = nullptr});
  Advance(call.stream);
  return {};
}

Result<void> ObjectStreams::Abort(CallId id, const CallOrigin& origin, std::string_view args) {
  const ObjectAbort call = TRY(DecodeFields<ObjectAbort>(args));
  const auto found = streams_.find(call.stream);
  const bool is_open = found != streams_.end() && found->second.caller == origin.caller;
  if (is_open)
    Remove(call.stream);
  service_.parts_.answers.Answer(
      id, EncodeReply(ObjectAbortResult{.aborted = static_cast<std::uint8_t>(is_open ? 1 : 0)}));
  return {};
}

void ObjectStreams::Advance(std::uint64_t number) {
  const auto found = streams_.find(number);
  if (found == streams_.end() || found->second.running || found->second.waiting.empty())
    return;
  Stream& stream = found->second;
  stream.running = true;
  const Step step = std::move(stream.waiting.front());
  stream.waiting.pop_front();
  service_.Run(
      stream.app, [this, number, step, writer = stream.writer]() mutable -> std::function<void()> {
        if (step.data == nullptr) {
          const Result<void> finished = writer->Finish();
          writer.reset();
          const auto shared = std::make_shared<Result<void>>(
              finished.ok() ? Result<void>() : Result<void>(Error(finished.error())));
          return [this, number, step, shared] { OnFinished(number, step, *shared); };
        }
        Result<void> appended = writer->Append(*step.data);
        const std::uint64_t size = writer->size();
        writer.reset();
        const auto shared = std::make_shared<Result<void>>(std::move(appended));
        return [this, number, step, size, shared] { OnAppended(number, step, size, *shared); };
      });
}

void ObjectStreams::OnAppended(std::uint64_t number, const Step& step, std::uint64_t size,
                               const Result<void>& appended) {
  const auto found = streams_.find(number);
  if (found == streams_.end())
    return service_.Deliver(step.origin.app, step.id, Gone());
  found->second.running = false;
  if (appended.ok()) {
    service_.parts_.answers.Answer(step.id, EncodeReply(ObjectAppendResult{.size = size}));
    return Advance(number);
  }
  Remove(number);
  service_.Deliver(step.origin.app, step.id, FailedReply(appended.error()));
}

void ObjectStreams::OnFinished(std::uint64_t number, const Step& step,
                               const Result<void>& finished) {
  const auto found = streams_.find(number);
  if (found == streams_.end())
    return service_.Deliver(step.origin.app, step.id, Gone());
  if (finished.ok()) {
    service_.WriteFinished(step.origin, step.id, std::move(found->second.writer));
    return Remove(number);
  }
  Remove(number);
  service_.Deliver(step.origin.app, step.id, FailedReply(finished.error()));
}

void ObjectStreams::Remove(std::uint64_t number) {
  auto node = streams_.extract(number);
  Stream& stream = node.mapped();
  const auto use = uses_.find(Place{stream.app.number, stream.overlay});
  use->second.bytes -= stream.size;
  if (--use->second.streams == 0)
    uses_.erase(use);
  if (stream.writer != nullptr)
    service_.Drop(stream.app, std::move(stream.writer));
  for (const Step& step : stream.waiting)
    service_.Deliver(stream.app, step.id, Gone());
}

void ObjectStreams::OnCallerGone(CallerId caller) {
  std::vector<std::uint64_t> gone;
  for (const auto& [number, stream] : streams_)
    if (stream.caller == caller)
      gone.push_back(number);
  for (const std::uint64_t number : gone)
    Remove(number);
}

void ObjectStreams::OnAppDeleted(AppId app) {
  std::vector<std::uint64_t> gone;
  for (const auto& [number, stream] : streams_)
    if (stream.app == app)
      gone.push_back(number);
  for (const std::uint64_t number : gone)
    Remove(number);
}

}  // namespace cloister
