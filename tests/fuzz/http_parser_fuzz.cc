// Requests of arbitrary bytes: however they are cut, the parser sees the same requests, and what it
// accepts keeps the promises that the rest of the node relies on.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "apis/base/check.h"
#include "daemon/http/head_scanner.h"
#include "daemon/http/parser.h"
#include "daemon/http/text.h"

namespace cloister {
namespace {

class Collect : public BodySink {
 public:
  explicit Collect(std::string& out) : out_(out) {}
  std::optional<HttpRefusal> OnBody(std::string_view bytes) override {
    out_ += bytes;
    return std::nullopt;
  }

 private:
  std::string& out_;
};

// What was read of a connection, as text; `refused` ends it.
struct Story {
  std::string text;
  bool refused = false;
};

class Reader {
 public:
  Story Read(std::string_view bytes, std::size_t step) {
    std::string held;
    for (std::size_t at = 0; at < bytes.size() && !story_.refused; at += step) {
      held += bytes.substr(at, step);
      std::string_view rest = held;
      while (!rest.empty() && !story_.refused && Step(rest)) {
      }
      held = std::string(rest);
    }
    return std::move(story_);
  }

 private:
  // False: more bytes are needed.
  bool Step(std::string_view& rest) { return in_body_ ? StepBody(rest) : StepHead(rest); }

  bool StepHead(std::string_view& rest) {
    switch (scanner_.Scan(rest, limits_)) {
      case HeadScanner::Outcome::kMore:
        return false;
      case HeadScanner::Outcome::kRefused:
        story_.refused = true;
        return true;
      case HeadScanner::Outcome::kComplete:
        break;
    }
    head_ = rest.substr(scanner_.begin(), scanner_.end() - scanner_.begin());
    rest.remove_prefix(scanner_.end());
    scanner_ = HeadScanner(HeadScanner::Section::kHead);
    HttpRequest request;
    if (const auto refusal = parser_.ParseHead(head_, request); refusal.has_value()) {
      CHECK(refusal->status >= 400 && refusal->status < 600 && !refusal->code.empty());
      story_.refused = true;
      return true;
    }
    CheckRequest(request);
    in_body_ = parser_.facts().framing != BodyFraming::kNone;
    return true;
  }

  void CheckRequest(const HttpRequest& request) {
    CHECK(IsToken(request.method));
    CHECK(request.target.starts_with('/') || request.target == "*");
    CHECK(request.target.find_first_of(" \t\r\n#") == std::string_view::npos);
    CHECK(request.headers.size() <= limits_.headers_max);
    for (const HttpHeader& header : request.headers) {
      CHECK(IsToken(header.name) && IsFieldValue(header.value));
      CHECK(header.name.find('_') == std::string_view::npos);
      CHECK(std::none_of(header.name.begin(), header.name.end(),
                         [](char c) { return c >= 'A' && c <= 'Z'; }));
      CHECK(header.name != "transfer-encoding");
      ((story_.text += header.name) += ':') += header.value;
    }
    ((story_.text += request.method) += ' ') += request.target;
    ((story_.text += request.host) += '|') += request.port;
  }

  bool StepBody(std::string_view& rest) {
    Collect sink(story_.text);
    switch (parser_.ParseBody(rest, sink)) {
      case HttpParser::BodyOutcome::kMore:
        CHECK(rest.empty());
        return false;
      case HttpParser::BodyOutcome::kRefused:
        story_.refused = true;
        return true;
      case HttpParser::BodyOutcome::kDone:
        in_body_ = false;
        return true;
    }
    return false;
  }

  HttpLimits limits_;
  HttpParser parser_{limits_};
  HeadScanner scanner_{HeadScanner::Section::kHead};
  std::string head_;
  bool in_body_ = false;
  Story story_;
};

}  // namespace
}  // namespace cloister

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const cloister::Story whole = cloister::Reader().Read(bytes, size + 1);
  for (const std::size_t step : {1u, 7u}) {
    const cloister::Story cut = cloister::Reader().Read(bytes, step);
    CHECK(cut.refused == whole.refused);
    // What comes before a refusal may have been given away already, byte by byte.
    CHECK(whole.refused || cut.text == whole.text);
  }
  return 0;
}
