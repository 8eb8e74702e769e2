#include "sandbox/worker/channel.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "apis/calls.h"
#include "apis/wire/channel.h"
#include "apis/wire/codec.h"
#include "apis/wire/config_values.h"
#include "sandbox/worker/python.h"

namespace cloister {
namespace {

constexpr std::size_t kBufferSize = 2 * (kFrameHeaderSize + kFramePayloadMax);
constexpr std::chrono::milliseconds kSignalCheckInterval{50};
constexpr int kExitNodeGone = 0;
constexpr int kExitProtocol = 3;

}  // namespace

QueuedRequest* WorkerChannel::NextRequest() {
  while (requests_.empty() && !shutdown_) {
    if (!WaitForFrames())
      PyErr_WriteUnraisable(nullptr);  // of a handler that raised while nothing ran
  }
  return shutdown_ ? nullptr : &requests_.front();
}

std::optional<std::string> WorkerChannel::WaitForConfig() {
  while (!config_ && !shutdown_) {
    if (!WaitForFrames())
      PyErr_Clear();  // nothing of the app runs yet that a signal could be meant for
  }
  return TakeConfig();
}

bool WorkerChannel::WaitForFrames() {
  if (reading_)
    return WaitForReader();
  if (buffer_ == nullptr)
    buffer_ = std::make_unique_for_overwrite<char[]>(kBufferSize);
  reading_ = true;
  ssize_t count = 0;
  int error = 0;
  {
    const WithoutGil without_gil;
    // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): no lock is held here
    count = ::read(fd_, buffer_.get() + filled_, kBufferSize - filled_);
    error = errno;
  }
  reading_ = false;
  if (count == 0 || (count < 0 && error != EINTR))
    ::_exit(kExitNodeGone);
  if (count > 0) {
    filled_ += static_cast<std::size_t>(count);
    DispatchAll();
  }
  return PyErr_CheckSignals() == 0;
}

bool WorkerChannel::WaitForReader() {
  // While the GIL is held nobody dispatches: what the caller has looked at is as of this count.
  const std::uint64_t seen = dispatches_;
  {
    const WithoutGil without_gil;
    std::unique_lock lock(reader_mutex_);
    // Not for ever: the main thread must come up to run the handlers of signals.
    dispatched_.wait_for(lock, kSignalCheckInterval, [&] { return dispatches_ != seen; });
  }
  return PyErr_CheckSignals() == 0;
}

void WorkerChannel::DispatchAll() {
  std::string_view bytes(buffer_.get(), filled_);
  while (true) {
    const Result<std::optional<Frame>> parsed = ParseFrame(bytes);
    if (!parsed.ok())
      ::_exit(kExitProtocol);
    const std::optional<Frame>& frame = parsed.value();
    if (!frame)
      break;
    Dispatch(*frame);
  }
  std::memmove(buffer_.get(), bytes.data(), bytes.size());
  filled_ = bytes.size();
  {
    const std::scoped_lock lock(reader_mutex_);
    ++dispatches_;
  }
  dispatched_.notify_all();
}

QueuedRequest* WorkerChannel::Find(std::uint32_t id) {
  const auto found = std::ranges::find(requests_, id, &QueuedRequest::id);
  return found == requests_.end() ? nullptr : &*found;
}

void WorkerChannel::Dispatch(const Frame& frame) {
  if (frame.type == FrameType::kRequest) {
    requests_.push_back({.id = frame.id,
                         .has_inline_body = frame.Has(kFrameInlineBody),
                         .for_runtime = frame.Has(kFrameForRuntime),
                         .payload = std::string(frame.payload),
                         .body = {},
                         .body_ended = false,
                         .credit = 0});
    return;
  }
  if (frame.type == FrameType::kCallReply)
    return TakeReply(frame);
  if (frame.type == FrameType::kShutdown) {
    shutdown_ = true;
    return;
  }
  if (frame.type == FrameType::kConfig)
    return DispatchConfig(frame);
  QueuedRequest* request = Find(frame.id);
  if (request == nullptr)
    return;  // withdrawn or answered
  if (frame.type == FrameType::kRequestBody) {
    request->body += frame.payload;
    request->body_ended = frame.Has(kFrameEnd);
  } else if (frame.type == FrameType::kCredit) {
    request->credit += WireReader(frame.payload).U32();
  }
}

bool WorkerChannel::HasRoomFor(std::size_t size) const {
  return calls_open_ < kCallsMax && calls_bytes_ + size <= kCallBytesMax;
}

void WorkerChannel::SendCall(PendingCall& pending, std::string_view call) {
  // Even, and never 0.
  last_call_ += 2;
  if (last_call_ == 0)
    last_call_ = 2;
  pending.id = last_call_;
  pending.size = call.size();
  calls_bytes_ += call.size();
  ++calls_open_;
  std::string frames;
  do {
    const std::string_view piece = call.substr(0, kFramePayloadMax);
    call.remove_prefix(piece.size());
    AppendFrame(frames, {.type = FrameType::kCall,
                         .flags = call.empty() ? std::uint8_t{0} : kFrameMore,
                         .id = pending.id,
                         .payload = piece});
  } while (!call.empty());
  Send(frames);
}

bool WorkerChannel::Call(std::string_view call, std::string& reply) {
  while (!HasRoomFor(call.size())) {
    if (!WaitForFrames())
      return false;
  }
  const auto pending = calls_.emplace(calls_.end());
  SendCall(*pending, call);
  while (!pending->answered) {
    if (!WaitForFrames()) {
      Forget(pending);
      return false;
    }
  }
  reply = std::move(pending->reply);
  calls_.erase(pending);
  return true;
}

void WorkerChannel::Forget(std::list<PendingCall>::iterator call) {
  // Until its answer has come the node counts it.
  call->forgotten = true;
  if (call->answered)
    calls_.erase(call);
}

void WorkerChannel::TakeReply(const Frame& frame) {
  const auto call = std::ranges::find(calls_, frame.id, &PendingCall::id);
  if (call == calls_.end() || call->answered)
    return;
  if (!call->forgotten)
    call->reply += frame.payload;
  call->answered = !frame.Has(kFrameMore);
  if (!call->answered)
    return;
  calls_bytes_ -= call->size;
  --calls_open_;
  if (call->forgotten)
    calls_.erase(call);
}

void WorkerChannel::DispatchConfig(const Frame& frame) {
  if (config_part_.size() + frame.payload.size() > kConfigPayloadMax)
    ::_exit(kExitProtocol);
  config_part_ += frame.payload;
  if (!frame.Has(kFrameMore))
    config_ = std::exchange(config_part_, {});
}

void WorkerChannel::Send(std::string_view frames) {
  const WithoutGil without_gil;
  const std::scoped_lock lock(write_mutex_);
  while (!frames.empty()) {
    const ssize_t count = ::write(fd_, frames.data(), frames.size());
    if (count < 0 && errno == EINTR)
      continue;  // the frame must be whole; the interpreter runs the handler right after
    if (count < 0)
      ::_exit(kExitNodeGone);
    frames.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace cloister
