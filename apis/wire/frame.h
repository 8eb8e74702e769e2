#pragma once

// Frames on the channel between the node and one worker. docs/protocol.md shows them in hex.
//
// A frame is a header of 12 bytes, little-endian: u32 length, u8 type, u8 flags, u16 zero, u32 id;
// then `length` bytes of payload, at most 65,536. Ids are odd when the node began the exchange,
// even when the worker did, 0 for frames about the worker itself. Both sides treat the other as
// hostile: ParseFrame refuses a header that no honest peer sends before anything is allocated for
// it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/result.h"

namespace cloister {

inline constexpr std::size_t kFrameHeaderSize = 12;
inline constexpr std::size_t kFramePayloadMax = 65536;

// What a frame is. Numbers are never reused. 1-15 from the node, 16-31 from the worker.
enum class FrameType : std::uint8_t {
  kRequest = 1,      // RequestHead; kFrameInlineBody: the whole body follows in this payload;
                     // kFrameForRuntime: not for the app
  kRequestBody = 2,  // bytes; kFrameEnd with the last
  kCredit = 3,       // u32: so many more bytes of response body may be sent for this id
  kShutdown = 4,     // end after the requests that were claimed
  kCallReply = 5,    // the answer to an API call
  kConfig = 6,  // the app's config (apis/wire/config_values.h): first of all, before the app is
                // imported; again for its next request. kFrameMore: it goes on in the next

  kReady = 16,          // u64 microseconds: the entry point is imported, or all is compiled
  kBootFailed = 17,     // BootReport: why the worker cannot serve; it ends after this
  kResponse = 18,       // ResponseHead; kFrameInlineBody: body bytes follow; kFrameEnd: that is all
  kResponseBody = 19,   // bytes; kFrameEnd with the last
  kBodyCredit = 20,     // u32: so many bytes of the request body were read
  kLog = 21,            // LogHead, then bytes of the event; kFrameMore: it goes on in the next one
  kResponseAbort = 22,  // str32 reason: the response cannot be finished (app error after the head)
  kCode = 23,           // compile: str16 path, marshalled code; kFrameMore: as for kLog
  kRefused = 24,        // str16 name of what was refused, u32 count
  kCall = 25,           // an API call
  kQueryUse = 26,       // of a query process: QueryUse (apis/query/packets.h)
  kQueryBroken = 27,    // of a query process: u64 of QueryAttach: that worker broke the rules
};

inline constexpr std::uint8_t kFrameEnd = 1;
inline constexpr std::uint8_t kFrameInlineBody = 2;
// What the frame carries goes on in the next frame of the same type and id, which begins with the
// same head (LogHead without its fields, path) again; no other frame comes between.
inline constexpr std::uint8_t kFrameMore = 4;
// The request is the node's own: its target names a function of the worker's runtime.
inline constexpr std::uint8_t kFrameForRuntime = 8;

struct Frame {
  FrameType type = FrameType::kRequest;
  std::uint8_t flags = 0;
  std::uint32_t id = 0;
  std::string_view payload;  // valid as long as the bytes it was parsed from

  bool Has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

// Appends a frame to `out`. The payload is at most kFramePayloadMax (CHECKed).
void AppendFrame(std::string& out, const Frame& frame);

// Begins a frame whose payload the caller appends to `out` itself; returns the position to give to
// FinishFrame, which writes the length. Spares the copy of a payload on the hot path.
std::size_t BeginFrame(std::string& out, FrameType type, std::uint8_t flags, std::uint32_t id);
void FinishFrame(std::string& out, std::size_t begin);

// Takes the first whole frame off the front of `bytes`. Empty when more bytes are needed; kProtocol
// when the header is one that is never sent (too long, unknown type, nonzero filler).
Result<std::optional<Frame>> ParseFrame(std::string_view& bytes);

}  // namespace cloister
