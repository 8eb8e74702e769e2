#pragma once

// The bytes of an HTTP/1.1 response to an HttpReply: what the admin socket sends, and nothing more.
//
// Feed() takes bytes as they come. Every size is bounded: the other side is ours, but may be of
// another version, or not there at all.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/result.h"

namespace cloister {

struct HttpReply {
  int status = 0;
  std::string content_type;
  std::string body;
};

class ReplyParser {
 public:
  static constexpr std::size_t kHeadMax = std::size_t{64} * 1024;
  static constexpr std::size_t kBodyMax = std::size_t{256} * 1024 * 1024;

  // kProtocol: not a response, or over a limit.
  Result<void> Feed(std::string_view bytes);
  // The connection ended. kProtocol when that is in the middle of the response.
  Result<void> FeedEnd();

  bool done() const { return state_ == State::kDone; }
  // Whether the connection can carry another request.
  bool keep_alive() const { return keep_alive_; }
  // Whether anything of a response arrived.
  bool started() const { return started_; }
  HttpReply TakeReply() { return std::move(reply_); }

 private:
  enum class State { kHead, kLength, kUntilEnd, kChunkSize, kChunk, kChunkEnd, kTrailers, kDone };

  // Each takes what it can from pending_; false: more bytes are needed.
  Result<bool> Step();
  Result<bool> StepHead();
  Result<bool> StepBody();
  Result<bool> StepChunkSize();
  Result<bool> StepLine();
  Result<void> ReadStatusLine(std::string_view line);
  Result<void> ReadHeader(std::string_view line);
  // The next whole line without its end; false when there is none yet.
  bool TakeLine(std::string& line);
  void TakeBody(std::size_t most);

  State state_ = State::kHead;
  bool started_ = false;
  bool keep_alive_ = true;
  bool chunked_ = false;
  bool has_length_ = false;
  std::uint64_t left_ = 0;  // of the body or of the chunk
  std::string pending_;
  HttpReply reply_;
};

}  // namespace cloister
