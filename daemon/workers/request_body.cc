#include "daemon/workers/request_body.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "apis/wire/channel.h"

namespace cloister {

void RequestBodySender::Start(const HttpBody& body, std::uint32_t id) {
  body_ = &body;
  id_ = id;
  sent_ = 0;
  unread_ = 0;
}

Result<void> RequestBodySender::Send(FrameChannel& channel) {
  while (body_ != nullptr && unread_ < kRequestWindow) {
    const std::uint64_t left = body_->size - sent_;
    const auto size = static_cast<std::size_t>(
        std::min<std::uint64_t>({left, kFramePayloadMax, kRequestWindow - unread_}));
    const std::uint8_t flags = size == left ? kFrameEnd : 0;
    const std::size_t begin = BeginFrame(channel.out(), FrameType::kRequestBody, flags, id_);
    TRY(AppendPiece(channel.out(), size));
    FinishFrame(channel.out(), begin);
    channel.Touch();
    sent_ += size;
    unread_ += static_cast<std::uint32_t>(size);
    if (flags == kFrameEnd)
      body_ = nullptr;
  }
  return {};
}

Result<void> RequestBodySender::AppendPiece(std::string& out, std::size_t size) const {
  if (!body_->file.valid()) {
    out += body_->bytes.substr(sent_, size);
    return {};
  }
  const std::size_t begin = out.size();
  out.resize(begin + size);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::pread(body_->file.get(), out.data() + begin + done, size - done,
                                static_cast<off_t>(sent_ + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return SystemError("reading a spooled request body");
    if (got == 0)
      return Error{ErrorCode::kSystem, "a spooled request body is shorter than its size"};
    done += static_cast<std::size_t>(got);
  }
  return {};
}

Result<void> RequestBodySender::TakeCredit(std::uint32_t bytes) {
  if (bytes == 0 || bytes > unread_)
    return Error{ErrorCode::kProtocol, "credit for body bytes that were not sent"};
  unread_ -= bytes;
  return {};
}

}  // namespace cloister
