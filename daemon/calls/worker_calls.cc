#include "daemon/calls/worker_calls.h"

#include <algorithm>
#include <utility>

namespace cloister {
namespace {

Error Protocol(const char* what) {
  return Error{ErrorCode::kProtocol, what};
}

}  // namespace

WorkerCalls::WorkerCalls(CallServer& server, Channel& channel, const Caller& caller)
    : server_(server), channel_(channel), caller_(caller), id_(server.Enter(caller)) {}

WorkerCalls::~WorkerCalls() {
  server_.Leave(*this, caller_);
}

void WorkerCalls::Close() {
  closed_ = true;
  waiting_.clear();
}

bool WorkerCalls::Knows(std::uint32_t frame_id) const {
  return std::ranges::find(started_, frame_id, &Started::frame_id) != started_.end() ||
         std::ranges::find(waiting_, frame_id, &Call::frame_id) != waiting_.end();
}

Result<void> WorkerCalls::TakeCall(const Frame& frame) {
  if (!in_call_) {
    if (frame.id == 0 || frame.id % 2 != 0 || Knows(frame.id))
      return Protocol("a call under an id that it cannot have");
    if (started_.size() + waiting_.size() >= kCallsMax)
      return Protocol("too many calls at one time");
    waiting_.push_back({.frame_id = frame.id, .bytes = {}});
  } else if (waiting_.back().frame_id != frame.id) {
    return Protocol("a call in the middle of another one");
  }
  Call& call = waiting_.back();
  bytes_ += frame.payload.size();
  if (call.bytes.size() + frame.payload.size() > kCallMax || bytes_ > kCallBytesMax)
    return Protocol("too large a call");
  call.bytes += frame.payload;
  in_call_ = frame.Has(kFrameMore);
  if (in_call_)
    return {};
  TRY(CallServer::Check(call.bytes));
  return BeginAll();
}

Result<void> WorkerCalls::Begin() {
  const Call call = std::move(waiting_.front());
  waiting_.pop_front();
  started_.push_back({.frame_id = call.frame_id, .size = call.bytes.size()});
  return server_.Serve(*this, caller_, call.frame_id, call.bytes);
}

Result<void> WorkerCalls::BeginAll() {
  // An answer from within a service comes back here: the loop below goes on anyway.
  if (std::exchange(beginning_, true))
    return {};
  Result<void> begun;
  while (begun.ok() && !closed_ && waiting_.size() > (in_call_ ? 1U : 0U) &&
         started_.size() < kStartedMax && channel_.unread() < kUnreadMax)
    begun = Begin();
  beginning_ = false;
  return begun;
}

void WorkerCalls::BeginNext() {
  const Result<void> begun = BeginAll();
  if (!begun.ok())
    channel_.OnBadCall(begun.error());
}

void WorkerCalls::OnReply(std::uint32_t frame_id, std::string_view reply) {
  const auto found = std::ranges::find(started_, frame_id, &Started::frame_id);
  if (found == started_.end())
    return;
  bytes_ -= found->size;
  started_.erase(found);
  std::string* const out = closed_ ? nullptr : channel_.CallOut();
  if (out == nullptr)
    return;
  const std::size_t before = out->size();
  do {
    const std::string_view piece = reply.substr(0, kFramePayloadMax);
    reply.remove_prefix(piece.size());
    AppendFrame(*out, {.type = FrameType::kCallReply,
                       .flags = reply.empty() ? std::uint8_t{0} : kFrameMore,
                       .id = frame_id,
                       .payload = piece});
  } while (!reply.empty());
  unread_replies_ += out->size() - before;
  channel_.TouchCallOut();
  BeginNext();
}

}  // namespace cloister
