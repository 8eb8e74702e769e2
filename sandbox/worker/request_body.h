#pragma once

// The body of the running request as a stream of bytes, bounded by its length.
//
// Inline bodies are views of the request's payload. Larger ones come as frames while they are read,
// and reading gives the node credit to send more.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sandbox/worker/channel.h"

namespace cloister {

class RequestBody {
 public:
  RequestBody(WorkerChannel& channel, QueuedRequest& request, std::string_view inline_body,
              std::uint64_t content_length);

  // Bytes that are here and unread. Valid until the next call of any function.
  std::string_view Available() const;
  // Waits until something is available or the body is over. False: a signal's handler raised.
  bool Fill();
  // Takes bytes that were Available().
  void Consume(std::size_t count);
  // The most bytes that may still come; kUnknownLength when that is open.
  std::uint64_t remaining() const { return remaining_; }

 private:
  void GiveCredit(std::size_t count);

  WorkerChannel& channel_;
  QueuedRequest& request_;
  std::string_view inline_body_;
  std::size_t offset_ = 0;  // into the request's body: read, not yet cut off
  std::uint64_t remaining_ = 0;
  std::uint32_t uncredited_ = 0;
};

}  // namespace cloister
