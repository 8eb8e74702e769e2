#include "daemon/cli/reply_parser.h"

#include <algorithm>
#include <charconv>

namespace cloister {
namespace {

Error Bad(std::string_view why) {
  return Error{ErrorCode::kProtocol,
               "the answer is not HTTP as the node speaks it: " + std::string(why)};
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

bool ParseNumber(std::string_view text, int base, std::uint64_t& number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number, base);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

}  // namespace

Result<void> ReplyParser::Feed(std::string_view bytes) {
  if (done())
    return bytes.empty() ? Result<void>() : Bad("bytes follow the response");
  started_ = started_ || !bytes.empty();
  pending_ += bytes;
  while (!done()) {
    if (!TRY(Step()))
      return {};
  }
  if (!pending_.empty())
    return Bad("bytes follow the response");
  return {};
}

Result<void> ReplyParser::FeedEnd() {
  keep_alive_ = false;
  if (state_ == State::kUntilEnd)
    state_ = State::kDone;
  if (!done())
    return Bad("the connection ended in the middle of it");
  return {};
}

Result<bool> ReplyParser::Step() {
  switch (state_) {
    case State::kHead:
      return StepHead();
    case State::kLength:
    case State::kUntilEnd:
    case State::kChunk:
      return StepBody();
    case State::kChunkSize:
      return StepChunkSize();
    case State::kChunkEnd:
    case State::kTrailers:
      return StepLine();
    case State::kDone:
      return false;
  }
  return false;
}

Result<bool> ReplyParser::StepHead() {
  const std::size_t end = pending_.find("\r\n\r\n");
  if (std::min(end, pending_.size()) > kHeadMax)
    return Bad("its head is larger than 64 KiB");
  if (end == std::string::npos)
    return false;
  const std::string head = pending_.substr(0, end + 2);
  pending_.erase(0, end + 4);
  std::string_view rest = head;
  TRY(ReadStatusLine(rest.substr(0, rest.find("\r\n"))));
  rest.remove_prefix(rest.find("\r\n") + 2);
  while (!rest.empty()) {
    const std::size_t line = rest.find("\r\n");
    TRY(ReadHeader(rest.substr(0, line)));
    rest.remove_prefix(line + 2);
  }
  // An interim response (100) comes before the real one.
  if (reply_.status < 200) {
    reply_ = HttpReply();
    return true;
  }
  if (reply_.status == 204 || reply_.status == 304)
    state_ = State::kDone;
  else if (chunked_)
    state_ = State::kChunkSize;
  else if (has_length_)
    state_ = left_ == 0 ? State::kDone : State::kLength;
  else
    state_ = State::kUntilEnd;
  return true;
}

Result<void> ReplyParser::ReadStatusLine(std::string_view line) {
  std::uint64_t status = 0;
  if (!(line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ")) || line.size() < 12 ||
      !ParseNumber(line.substr(9, 3), 10, status) || status < 100 || status > 599)
    return Bad("its first line is not a status line");
  reply_.status = static_cast<int>(status);
  keep_alive_ = line[7] == '1';
  return {};
}

Result<void> ReplyParser::ReadHeader(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == 0 || colon == std::string_view::npos)
    return Bad("a header has no name");
  const std::string name = Lower(line.substr(0, colon));
  const std::string_view value = Trim(line.substr(colon + 1));
  if (name == "content-length") {
    if (has_length_ || !ParseNumber(value, 10, left_) || left_ > kBodyMax)
      return Bad("its Content-Length is bad or larger than 256 MiB");
    has_length_ = true;
  } else if (name == "transfer-encoding") {
    if (Lower(value) != "chunked")
      return Bad("its Transfer-Encoding is unknown");
    chunked_ = true;
  } else if (name == "connection" && Lower(value) == "close") {
    keep_alive_ = false;
  } else if (name == "content-type") {
    reply_.content_type = value;
  }
  return {};
}

Result<bool> ReplyParser::StepBody() {
  if (state_ == State::kUntilEnd)
    left_ = kBodyMax + 1;
  TakeBody(left_);
  if (reply_.body.size() > kBodyMax)
    return Bad("its body is larger than 256 MiB");
  if (left_ > 0)
    return false;
  state_ = state_ == State::kChunk ? State::kChunkEnd : State::kDone;
  return true;
}

void ReplyParser::TakeBody(std::size_t most) {
  const std::size_t taken = std::min(most, pending_.size());
  reply_.body.append(pending_, 0, taken);
  pending_.erase(0, taken);
  left_ -= taken;
}

Result<bool> ReplyParser::StepChunkSize() {
  std::string line;
  if (!TakeLine(line)) {
    constexpr std::size_t kLineMax = 1024;
    if (pending_.size() > kLineMax)
      return Bad("a chunk has no size");
    return false;
  }
  if (!ParseNumber(Trim(std::string_view(line).substr(0, line.find(';'))), 16, left_) ||
      left_ > kBodyMax)
    return Bad("a chunk has a bad size");
  state_ = left_ == 0 ? State::kTrailers : State::kChunk;
  return true;
}

Result<bool> ReplyParser::StepLine() {
  std::string line;
  if (!TakeLine(line)) {
    if (pending_.size() > kHeadMax)
      return Bad("a line does not end");
    return false;
  }
  if (state_ == State::kChunkEnd) {
    if (!line.empty())
      return Bad("a chunk is longer than its size");
    state_ = State::kChunkSize;
  } else if (line.empty()) {
    state_ = State::kDone;
  }
  return true;
}

bool ReplyParser::TakeLine(std::string& line) {
  const std::size_t end = pending_.find("\r\n");
  if (end == std::string::npos)
    return false;
  line = pending_.substr(0, end);
  pending_.erase(0, end + 2);
  return true;
}

}  // namespace cloister
