#include "sandbox/worker/response.h"

#include <algorithm>

#include "apis/wire/codec.h"
#include "apis/wire/frame.h"
#include "apis/wire/inbox_gone.h"
#include "sandbox/worker/runtime.h"

namespace cloister {
namespace {

constexpr std::size_t kFlagsOffset = 5;
constexpr std::size_t kReasonMax = 4096;

}  // namespace

std::string ResponseWriter::SetHead(const ResponseHead& head,
                                    std::optional<std::uint64_t> content_length) {
  if (head.headers.size() > kHeadersMax)
    return "a response has at most " + std::to_string(kHeadersMax) + " headers";
  std::string frame;
  frame.reserve(512);
  BeginFrame(frame, FrameType::kResponse, 0, request_.id);
  WireWriter writer(frame);
  head.Encode(writer);
  if (frame.size() - kFrameHeaderSize > kHeadMax)
    return "the headers of a response have at most " + std::to_string(kHeadMax) + " bytes";
  pending_ = std::move(frame);
  content_length_ = content_length;
  status_ = head.status;
  has_head_ = true;
  return {};
}

void ResponseWriter::SetFlags(std::uint8_t flags) {
  pending_[open_frame_ + kFlagsOffset] = static_cast<char>(flags);
}

bool ResponseWriter::FitsInline(std::size_t body_size) const {
  return pending_.size() - kFrameHeaderSize + body_size <= kFramePayloadMax;
}

void ResponseWriter::AppendInline(std::string_view block) {
  pending_ += block;
  sent_ += block.size();
  SetFlags(kFrameInlineBody);
}

void ResponseWriter::SendPending() {
  // The app's words come before the answer they belong to.
  runtime_.FlushEvents();
  const std::string frames = std::exchange(pending_, {});
  runtime_.channel.Send(frames);
}

std::uint64_t ResponseWriter::credit() const {
  return kResponseWindow + request_.credit - sent_;
}

bool ResponseWriter::LookForClient() {
  client_gone_ = client_gone_ || GoneOf(*runtime_.inbox).IsMarked(slot_, request_.id);
  return !client_gone_;
}

bool ResponseWriter::WaitForCredit() {
  while (credit() == 0 && LookForClient()) {
    if (!pending_.empty())
      SendPending();
    if (!runtime_.channel.WaitForFrames())
      return false;
  }
  return true;
}

void ResponseWriter::AppendBodyFrame(std::string_view piece) {
  const std::size_t begin = BeginFrame(pending_, FrameType::kResponseBody, 0, request_.id);
  pending_ += piece;
  FinishFrame(pending_, begin);
  sent_ += piece.size();
}

WriteOutcome ResponseWriter::Write(std::string_view block) {
  if (content_length_ && block.size() > *content_length_ - sent_)
    return WriteOutcome::kTooLong;
  if (!LookForClient())
    return WriteOutcome::kClientGone;
  if (!head_sent_) {
    const std::size_t room = kFramePayloadMax - (pending_.size() - kFrameHeaderSize);
    const std::string_view piece = block.substr(0, room);
    AppendInline(piece);
    FinishFrame(pending_, open_frame_);
    head_sent_ = true;
    block.remove_prefix(piece.size());
  }
  while (!block.empty()) {
    if (!WaitForCredit())
      return WriteOutcome::kInterrupted;
    if (client_gone_)
      return WriteOutcome::kClientGone;
    const std::size_t allowed =
        static_cast<std::size_t>(std::min<std::uint64_t>(kFramePayloadMax, credit()));
    const std::string_view piece = block.substr(0, allowed);
    AppendBodyFrame(piece);
    block.remove_prefix(piece.size());
    if (pending_.size() >= kFramePayloadMax)
      SendPending();
  }
  if (!pending_.empty())
    SendPending();
  return WriteOutcome::kDone;
}

void ResponseWriter::End() {
  if (!head_sent_) {
    const std::uint8_t inline_flag = sent_ > 0 ? kFrameInlineBody : std::uint8_t{0};
    SetFlags(kFrameEnd | inline_flag);
    FinishFrame(pending_, open_frame_);
    head_sent_ = true;
  } else {
    AppendFrame(
        pending_,
        {.type = FrameType::kResponseBody, .flags = kFrameEnd, .id = request_.id, .payload = {}});
  }
  SendPending();
}

void ResponseWriter::Abort(std::string_view reason) {
  const std::size_t begin = BeginFrame(pending_, FrameType::kResponseAbort, 0, request_.id);
  WireWriter(pending_).Str32(reason.substr(0, kReasonMax));
  FinishFrame(pending_, begin);
  SendPending();
}

}  // namespace cloister
