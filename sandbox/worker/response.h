#pragma once

// The answer to the running request as frames: head, body within the node's credit, end.
//
// The head is held back until the first byte of the body, or the end, so that an error before that
// can still become a 500, and so that a small answer leaves in one write. Content-Length is the
// app's promise: a body that breaks it is an error, never a longer or shorter message.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/wire/channel.h"
#include "sandbox/worker/channel.h"

namespace cloister {

class Runtime;

enum class WriteOutcome {
  kDone,
  kTooLong,     // more than Content-Length: nothing of this block was sent
  kClientGone,  // nobody waits for it: nothing more needs to be sent
  kInterrupted  // a Python exception is set
};

class ResponseWriter {
 public:
  // `slot`: of the inbox, where the request was claimed.
  ResponseWriter(Runtime& runtime, QueuedRequest& request, std::size_t slot)
      : runtime_(runtime), request_(request), slot_(slot) {}

  bool has_head() const { return has_head_; }
  bool head_sent() const { return head_sent_; }
  std::uint16_t status() const { return status_; }
  // Whether a Write() found that the client is gone.
  bool client_gone() const { return client_gone_; }

  // Sets or replaces the head that is held back. Empty, or why it cannot be sent.
  std::string SetHead(const ResponseHead& head, std::optional<std::uint64_t> content_length);
  // The app's length, if it gave one.
  std::optional<std::uint64_t> content_length() const { return content_length_; }
  std::uint64_t sent() const { return sent_; }

  // Sends a block of the body (and the head). The block is with the node when this returns.
  WriteOutcome Write(std::string_view block);
  // Appends to the frame that holds the head; only for a body that FitsInline as a whole.
  bool FitsInline(std::size_t body_size) const;
  void AppendInline(std::string_view block);
  // Sends what is held, and the end.
  void End();
  // Ends a response whose head was sent and that cannot be finished.
  void Abort(std::string_view reason);

 private:
  void SetFlags(std::uint8_t flags);
  void AppendBodyFrame(std::string_view piece);
  void SendPending();
  // Waits until at least a byte may be sent, or nobody wants it. False: a signal's handler raised.
  bool WaitForCredit();
  // Looks whether the client has gone; once it has, it stays so.
  bool LookForClient();
  std::uint64_t credit() const;

  Runtime& runtime_;
  QueuedRequest& request_;
  std::size_t slot_;
  std::string pending_;  // the head's frame, then frames that were not written yet
  std::size_t open_frame_ = 0;
  std::optional<std::uint64_t> content_length_;
  std::uint64_t sent_ = 0;
  std::uint16_t status_ = 0;
  bool has_head_ = false;
  bool head_sent_ = false;
  bool client_gone_ = false;
};

}  // namespace cloister
