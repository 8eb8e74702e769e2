#pragma once

// Sends a request body that is too large for the request's own frame, as far as the worker's window
// and credit go.

#include <cstdint>

#include "apis/base/result.h"
#include "daemon/http/message.h"
#include "daemon/workers/frame_channel.h"

namespace cloister {

class RequestBodySender {
 public:
  // Nothing to send.
  void Reset() { body_ = nullptr; }
  // `body` must outlive the sending.
  void Start(const HttpBody& body, std::uint32_t id);
  // Appends what may be sent now. kSystem when the spooled file cannot be read.
  Result<void> Send(FrameChannel& channel);
  // The worker read so many bytes. kProtocol when it was not sent that many.
  Result<void> TakeCredit(std::uint32_t bytes);

  bool active() const { return body_ != nullptr; }

 private:
  Result<void> AppendPiece(std::string& out, std::size_t size) const;

  const HttpBody* body_ = nullptr;  // null: all was sent
  std::uint32_t id_ = 0;
  std::uint64_t sent_ = 0;
  std::uint32_t unread_ = 0;  // sent and not yet credited
};

}  // namespace cloister
