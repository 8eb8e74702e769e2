#include "daemon/http/head_scanner.h"

#include <algorithm>

#include "daemon/http/text.h"

namespace cloister {
namespace {

// Empty lines before a request line that are forgiven (RFC 9112, 2.2 asks for one).
constexpr std::size_t kLeadingEmptyMax = 4;
// What a request line has besides its target: the longest method, " ", " HTTP/1.1\r\n".
constexpr std::size_t kAroundTargetMax = 48;

constexpr HttpRefusal kHeadTooLarge = {
    .status = 431, .code = "head_too_large", .detail = "The request's headers are too large."};
constexpr HttpRefusal kTooManyHeaders = {
    .status = 431, .code = "too_many_headers", .detail = "The request has too many headers."};
constexpr HttpRefusal kTargetTooLong = {
    .status = 414, .code = "target_too_long", .detail = "The request's target is too long."};
constexpr HttpRefusal kBareLineFeed = {
    .status = 400, .code = "bare_line_feed", .detail = "A line ends in LF without CR."};
constexpr HttpRefusal kFoldedHeader = {
    .status = 400, .code = "folded_header", .detail = "A header is folded over two lines."};
constexpr HttpRefusal kBadRequestLine = {
    .status = 400, .code = "bad_request_line", .detail = "The request line is malformed."};
constexpr HttpRefusal kBadVersion = {
    .status = 505, .code = "http_version", .detail = "Only HTTP/1.1 and HTTP/1.0 are spoken here."};

}  // namespace

HeadScanner::Outcome HeadScanner::Refuse(const HttpRefusal& refusal) {
  refusal_ = refusal;
  return Outcome::kRefused;
}

HeadScanner::Outcome HeadScanner::Scan(std::string_view bytes, const HttpLimits& limits) {
  const std::size_t section_max = section_ == Section::kHead ? limits.head_max : limits.trailer_max;
  while (true) {
    const std::size_t line_feed = bytes.find('\n', searched_);
    if (line_feed == std::string_view::npos) {
      searched_ = bytes.size();
      return CheckUnfinished(bytes, limits);
    }
    const std::string_view line = bytes.substr(position_, line_feed - position_);
    if (line.empty() || line.back() != '\r')
      return Refuse(kBareLineFeed);
    position_ = searched_ = line_feed + 1;
    if (line.size() > 1) {
      if (const auto refusal = CheckLine(line, limits); refusal.has_value())
        return Refuse(*refusal);
    } else if (lines_ > 0 || section_ == Section::kTrailer) {
      return position_ - begin_ > section_max ? Refuse(kHeadTooLarge) : Outcome::kComplete;
    } else {
      begin_ = position_;
      if (begin_ > kLeadingEmptyMax * 2)
        return Refuse(kBadRequestLine);
    }
  }
}

HeadScanner::Outcome HeadScanner::CheckUnfinished(std::string_view bytes,
                                                  const HttpLimits& limits) {
  const std::size_t size = bytes.size() - begin_;
  if (section_ == Section::kTrailer)
    return size >= limits.trailer_max ? Refuse(kHeadTooLarge) : Outcome::kMore;
  if (lines_ == 0 && size > 0 && bytes[begin_] != '\r' && !IsTokenChar(bytes[begin_]))
    return Refuse(kBadRequestLine);
  if (lines_ == 0 && size > limits.target_max + kAroundTargetMax)
    return Refuse(kTargetTooLong);
  return size >= limits.head_max ? Refuse(kHeadTooLarge) : Outcome::kMore;
}

std::optional<HttpRefusal> HeadScanner::CheckLine(std::string_view line, const HttpLimits& limits) {
  ++lines_;
  if (section_ == Section::kHead && lines_ == 1)
    return CheckRequestLine(line, limits);
  if (line.front() == ' ' || line.front() == '\t')
    return kFoldedHeader;
  const std::size_t headers = section_ == Section::kHead ? lines_ - 1 : lines_;
  if (headers > limits.headers_max)
    return kTooManyHeaders;
  return std::nullopt;
}

std::optional<HttpRefusal> HeadScanner::CheckRequestLine(std::string_view line,
                                                         const HttpLimits& limits) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || !IsToken(line.substr(0, first)))
    return kBadRequestLine;
  if (first == last)  // METHOD TARGET: HTTP/0.9
    return kBadVersion;
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (target.empty() || target.find(' ') != std::string_view::npos)
    return kBadRequestLine;
  if (target.size() > limits.target_max)
    return kTargetTooLong;
  const std::string_view version = line.substr(last + 1);
  if (!version.starts_with("HTTP/"))
    return kBadRequestLine;
  if (version != "HTTP/1.1\r" && version != "HTTP/1.0\r")
    return kBadVersion;
  return std::nullopt;
}

}  // namespace cloister
