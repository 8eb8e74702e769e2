#include "daemon/workers/frame_channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <utility>

namespace cloister {
namespace {

// After a large frame its buffer is given back.
constexpr std::size_t kKeepCapacity = 16 * 1024;
constexpr std::size_t kReadSize = 64 * 1024;
// What was given is dropped from the front of a buffer in pieces of so much.
constexpr std::size_t kDropSize = 32 * 1024;
constexpr std::size_t kAllFrames = std::numeric_limits<std::size_t>::max();

}  // namespace

FrameChannel::FrameChannel(Loop& loop, UniqueFd fd, FrameChannel::Handler& handler,
                           std::shared_ptr<LoopAccount> account)
    : loop_(loop),
      handler_(handler),
      stream_(std::make_unique<Stream>(loop, std::move(fd), static_cast<Stream::Handler&>(*this))),
      account_(std::move(account)),
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
  busy_.reset();
  StopWaiting();
  stream_->ReadStop();
  // The stream itself lives on: it may be what called us.
  ::shutdown(stream_->fd(), SHUT_RDWR);
}

bool FrameChannel::Pay(const Frame& frame, bool can_wait) {
  if (account_ == nullptr)
    return true;
  double cost = LoopCostOf(frame);
  if (cost <= 0)
    return true;
  if (read_unpaid_)
    cost += kLoopCostOfRead;
  if (!can_wait)
    account_->Owe(cost);
  else if (!account_->Take(cost))
    return false;
  read_unpaid_ = false;
  return true;
}

std::size_t FrameChannel::FramesOfTurn() const {
  return account_ == nullptr ? kFramesPerTurn : std::min(kFramesPerTurn, account_->FramesOfTurn());
}

std::string_view FrameChannel::GiveFrames(std::string_view bytes, std::size_t frames_max) {
  left_ = Left::kNothing;
  for (std::size_t given = 0; !closed_; ++given) {
    if (given == frames_max && !bytes.empty())
      left_ = Left::kNextTurn;
    if (given == frames_max)
      return bytes;
    std::string_view after = bytes;
    const Result<std::optional<Frame>> parsed = ParseFrame(after);
    if (!parsed.ok()) {
      Close();
      handler_.OnGarbage(parsed.error());
      return {};
    }
    const std::optional<Frame>& frame = parsed.value();
    if (!frame.has_value())
      return bytes;
    if (!Pay(*frame, frames_max != kAllFrames)) {
      left_ = Left::kBudget;
      return bytes;
    }
    bytes = after;
    handler_.OnFrame(*frame);
  }
  return {};
}

void FrameChannel::OnData(std::string_view bytes) {
  if (closed_)
    return;
  read_unpaid_ = true;
  Take(bytes, FramesOfTurn());
  Continue();
}

void FrameChannel::Continue() {
  if (closed_)
    return;
  const bool reads = left_ == Left::kNothing;
  if (left_ != Left::kNextTurn)
    busy_.reset();
  if (reads != reading_)
    reads ? stream_->ReadStart() : stream_->ReadStop();
  reading_ = reads;
  if (left_ == Left::kBudget)
    return account_->Await(*this);
  if (left_ == Left::kNothing)
    return;
  if (account_ != nullptr && !busy_.has_value())
    busy_.emplace(*account_);
  loop_.Post([self = self_] {
    if (*self != nullptr)
      (*self)->GoOn();
  });
}

void FrameChannel::GoOn() {
  if (closed_)
    return;
  Take({}, FramesOfTurn());
  Continue();
}

void FrameChannel::Take(std::string_view bytes, std::size_t frames_max) {
  giving_ = true;
  if (!HasRest()) {
    rest_ = GiveFrames(bytes, frames_max);
    rest_at_ = 0;
  } else {
    rest_ += bytes;
    const std::string_view left = GiveFrames(std::string_view(rest_).substr(rest_at_), frames_max);
    rest_at_ = rest_.size() - left.size();
    if (left.empty() || rest_at_ >= kDropSize) {
      rest_.erase(0, rest_at_);
      rest_at_ = 0;
    }
    if (rest_.empty() && rest_.capacity() > kKeepCapacity)
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
  StopWaiting();
  if (left_ != Left::kNothing && !closed_)
    Take({}, kAllFrames);
  while (!closed_) {
    const ssize_t size = ::recv(stream_->fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    // A peer that went without reading all says so once, perhaps before what it had sent.
    if (size < 0 && (errno == EINTR || errno == ECONNRESET))
      continue;
    if (size <= 0)
      return OnEnd(false);
    read_unpaid_ = true;
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
  handler_.OnClosed(HasRest());
}

}  // namespace cloister
