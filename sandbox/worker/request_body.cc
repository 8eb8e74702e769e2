#include "sandbox/worker/request_body.h"

#include <algorithm>
#include <string>

#include "apis/wire/channel.h"
#include "apis/wire/codec.h"
#include "apis/wire/frame.h"

namespace cloister {
namespace {

constexpr std::uint32_t kCreditStep = kRequestWindow / 2;
// Read bytes are cut off the front of the buffer in steps of this.
constexpr std::size_t kCompactStep = 64 * 1024;

}  // namespace

RequestBody::RequestBody(WorkerChannel& channel, QueuedRequest& request,
                         std::string_view inline_body, std::uint64_t content_length)
    : channel_(channel), request_(request), inline_body_(inline_body), remaining_(content_length) {
  if (request_.has_inline_body)
    remaining_ = inline_body_.size();
}

std::string_view RequestBody::Available() const {
  const std::string_view here =
      request_.has_inline_body ? inline_body_ : std::string_view(request_.body).substr(offset_);
  return here.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, here.size())));
}

bool RequestBody::Fill() {
  while (remaining_ > 0 && Available().empty()) {
    if (request_.has_inline_body || request_.body_ended) {
      remaining_ = 0;  // shorter than announced: the client has gone
      return true;
    }
    if (!channel_.WaitForFrames())
      return false;
  }
  return true;
}

void RequestBody::Consume(std::size_t count) {
  if (remaining_ != kUnknownLength)
    remaining_ -= count;
  if (request_.has_inline_body) {
    inline_body_.remove_prefix(count);
    return;
  }
  offset_ += count;
  if (offset_ == request_.body.size() || offset_ >= kCompactStep) {
    request_.body.erase(0, offset_);
    offset_ = 0;
  }
  GiveCredit(count);
}

void RequestBody::GiveCredit(std::size_t count) {
  uncredited_ += static_cast<std::uint32_t>(count);
  if (uncredited_ < kCreditStep || request_.body_ended)
    return;
  std::string frame;
  const std::size_t begin = BeginFrame(frame, FrameType::kBodyCredit, 0, request_.id);
  WireWriter(frame).U32(uncredited_);
  FinishFrame(frame, begin);
  uncredited_ = 0;
  channel_.Send(frame);
}

}  // namespace cloister
