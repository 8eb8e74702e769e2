#pragma once

// What the frames of a worker's channel carry, and the inbox page beside it.
//
// Plain data with an Encode that appends to a frame under construction and a Decode that trusts
// nothing. Strings of a decoded head are views into the frame's payload.

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/wire/codec.h"

namespace cloister {

// "No length is known": a body of unknown size.
inline constexpr std::uint64_t kUnknownLength = ~std::uint64_t{0};

// Bytes of response body a worker may have sent without credit from the node.
inline constexpr std::uint32_t kResponseWindow = 256 * 1024;
// Bytes of request body the node may have sent without credit from the worker.
inline constexpr std::uint32_t kRequestWindow = 256 * 1024;
// A request body up to this size travels inside the Request frame.
inline constexpr std::size_t kInlineBodyMax = 16 * 1024;
// The most headers of a message, and the most bytes of an encoded head.
inline constexpr std::size_t kHeadersMax = 100;
inline constexpr std::size_t kHeadMax = 40 * 1024;

struct WireHeader {
  std::string_view name;   // requests: lower case
  std::string_view value;  // without white space around it
};

// RFC 9110 request as a worker gets it; the worker makes the WSGI environ (PEP 3333) of it.
struct RequestHead {
  std::uint8_t slot = 0;  // the inbox slot that must be claimed before this runs
  std::uint8_t http_minor = 1;
  std::uint32_t wall_ms = 0;         // after so long the request is ended (WallTimeExceeded)
  std::uint64_t content_length = 0;  // kUnknownLength: chunked and streamed
  std::string_view method;
  std::string_view target;  // origin form, still percent-encoded, with its query
  std::string_view scheme;
  std::string_view server_name;
  std::string_view server_port;
  std::string_view remote_addr;
  std::string_view remote_port;
  std::string_view request_id;
  std::vector<WireHeader> headers;

  void Encode(WireWriter& out) const;
  // Leaves what follows the head (an inline body) in `in`.
  static Result<RequestHead> Decode(WireReader& in);
};

struct ResponseHead {
  std::uint16_t status = 200;
  std::string_view reason;
  std::vector<WireHeader> headers;

  void Encode(WireWriter& out) const;
  // kProtocol when malformed or over kHeadersMax. Names and values are checked by the front end.
  static Result<ResponseHead> Decode(WireReader& in);
};

// How an event entered the log.
enum class LogSource : std::uint8_t { kStdout = 0, kStderr = 1, kLogging = 2, kRuntime = 3 };

// Before the bytes of a log event. The frame's id is the request's, or 0 outside of one.
struct LogHead {
  LogSource source = LogSource::kStdout;
  std::uint8_t level = 0;  // of stdlib logging: 0 none, 10 debug ... 50 critical
  std::string_view logger;
  // As ReadEventFields takes them, which Decode leaves to whoever wants them. None in the frames
  // with which a long event goes on.
  std::string_view fields = {};

  void Encode(WireWriter& out) const;
  static Result<LogHead> Decode(WireReader& in);
};

// Why a worker could not boot or compile, for the deployer's eyes.
struct BootReport {
  std::string_view code;       // stable: syntax_error, import_error, entry_missing, ...
  std::string_view message;    // one line
  std::string_view file;       // path in the bundle, or empty
  std::uint32_t line = 0;      // 0: unknown
  std::string_view traceback;  // as Python prints it; source line and caret for syntax errors

  void Encode(WireWriter& out) const;
  static Result<BootReport> Decode(WireReader& in);
};

// --- The inbox page
// ------------------------------------------------------------------------------- One page shared
// by node and worker: a word per slot, (request id << 32 | state). The node offers; then exactly
// one side wins a compare-and-swap: the worker claims, or the node withdraws. The worker can write
// anything here; the node only ever compares with the words that it offered itself.

inline constexpr std::size_t kInboxSlots = 8;

enum class SlotState : std::uint32_t { kFree = 0, kOffered = 1, kClaimed = 2, kWithdrawn = 3 };

struct InboxPage {
  std::array<std::atomic<std::uint64_t>, kInboxSlots> slots;

  static constexpr std::uint64_t Word(std::uint32_t id, SlotState state) {
    return (std::uint64_t{id} << 32) | static_cast<std::uint32_t>(state);
  }
  void Offer(std::size_t slot, std::uint32_t id) {
    slots[slot].store(Word(id, SlotState::kOffered), std::memory_order_release);
  }
  // Worker: true when the request is now this worker's to run.
  bool Claim(std::size_t slot, std::uint32_t id) {
    return Swap(slot, Word(id, SlotState::kOffered), Word(id, SlotState::kClaimed));
  }
  // Node: true when the request is the node's again, to send elsewhere.
  bool Withdraw(std::size_t slot, std::uint32_t id) {
    return Swap(slot, Word(id, SlotState::kOffered), Word(id, SlotState::kWithdrawn));
  }

 private:
  bool Swap(std::size_t slot, std::uint64_t from, std::uint64_t to) {
    return slots[slot].compare_exchange_strong(from, to, std::memory_order_acq_rel);
  }
};

// The size of the memfd that holds an InboxPage.
inline constexpr std::size_t kInboxPageSize = 4096;
static_assert(sizeof(InboxPage) <= kInboxPageSize);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace cloister
