#include "daemon/workers/frame_channel.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <limits>
#include <utility>

namespace cloister {
namespace {

// After a large frame its buffer is given back.
constexpr std::size_t kKeepCapacity = 16 * 1024;
constexpr std::size_t kReadSize = 64 * 1024;
constexpr std::size_t kAllFrames = std::numeric_limits<std::size_t>::max();

}  // namespace

FrameChannel::FrameChannel(Loop& loop, UniqueFd fd, FrameChannel::Handler& handler)
    : loop_(loop),
      handler_(handler),
      stream_(std::make_unique<Stream>(loop, std::move(fd), static_cast<Stream::Handler&>(*this))),
      self_(std::make_shared<FrameChannel*>(this)) {
  stream_->ReadStart();
}

FrameChannel::~FrameChannel() {
  *self_ = nullptr;
}

void FrameChannel::Append(FrameType type, std::uint8_t flags, std::uint32_t id,
                          std::string_view payload) {
  AppendFrame(out(), {.type = type, .flags = flags, .id = id, .payload = payload});
  Touch();
}

void FrameChannel::TouchAnswer() {
  if (giving_)
    answered_ = true;
  else
    Touch();
}

void FrameChannel::Close() {
  if (closed_)
    return;
  closed_ = true;
  stream_->ReadStop();
  // The stream itself lives on: it may be what called us.
  ::shutdown(stream_->fd(), SHUT_RDWR);
}

std::string_view FrameChannel::GiveFrames(std::string_view bytes, std::size_t frames_max) {
  for (std::size_t given = 0; !closed_; ++given) {
    has_more_ = given == frames_max && !bytes.empty();
    if (given == frames_max)
      return bytes;
    const Result<std::optional<Frame>> parsed = ParseFrame(bytes);
    if (!parsed.ok()) {
      Close();
      handler_.OnGarbage(parsed.error());
      return {};
    }
    const std::optional<Frame>& frame = parsed.value();
    if (!frame.has_value())
      return bytes;
    handler_.OnFrame(*frame);
  }
  return {};
}

void FrameChannel::OnData(std::string_view bytes) {
  if (closed_)
    return;
  Take(bytes, kFramesPerTurn);
  if (closed_ || !has_more_)
    return;
  stream_->ReadStop();
  loop_.Post([self = self_] {
    if (*self != nullptr)
      (*self)->GoOn();
  });
}

void FrameChannel::GoOn() {
  if (closed_)
    return;
  stream_->ReadStart();
  OnData({});
}

void FrameChannel::Take(std::string_view bytes, std::size_t frames_max) {
  giving_ = true;
  if (rest_.empty()) {
    rest_ = GiveFrames(bytes, frames_max);
  } else {
    rest_ += bytes;
    const std::size_t left = GiveFrames(rest_, frames_max).size();
    rest_.erase(0, rest_.size() - left);
    if (left == 0 && rest_.capacity() > kKeepCapacity)
      rest_ = std::string();
  }
  if (!closed_)
    handler_.OnBatchEnd();
  giving_ = false;
  if (std::exchange(answered_, false) && !closed_)
    stream_->Flush();
}

void FrameChannel::TakeRest() {
  static thread_local std::array<char, kReadSize> buffer;
  if (has_more_ && !closed_)
    Take({}, kAllFrames);
  while (!closed_) {
    const ssize_t size = ::recv(stream_->fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    // A peer that went without reading all says so once, perhaps before what it had sent.
    if (size < 0 && (errno == EINTR || errno == ECONNRESET))
      continue;
    if (size <= 0)
      return OnEnd(false);
    Take({buffer.data(), static_cast<std::size_t>(size)}, kAllFrames);
  }
}

void FrameChannel::OnEnd(bool broken) {
  if (closed_)
    return;
  // A write that failed says nothing about what the peer had sent before it went.
  if (broken)
    return TakeRest();
  Close();
  handler_.OnClosed(!rest_.empty());
}

}  // namespace cloister
