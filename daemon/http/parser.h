#pragma once

// Bytes to HttpRequest: llhttp in strict mode, and what it leaves to a server.
//
// One parser reads one request at a time: ParseHead() with the whole head as HeadScanner delimited
// it, then ParseBody() until it is done. A refusal is final: the framing is not trusted any more,
// the connection must be closed after the answer. Header names that hold an underscore are dropped
// (they would collide with others in the WSGI environ), as are all trailers.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/http/limits.h"
#include "daemon/http/message.h"
#include "daemon/http/refusal.h"

namespace cloister {

enum class BodyFraming { kNone, kLength, kChunked };

// What the head says to the connection.
struct HeadFacts {
  BodyFraming framing = BodyFraming::kNone;
  std::uint64_t content_length = 0;  // with kLength
  bool keep_alive = false;
  bool expects_continue = false;
  std::string_view client_request_id;  // the client's X-Request-Id; a view into the head
  std::size_t dropped_headers = 0;     // names with an underscore
};

// Takes a body as it arrives.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // A refusal ends the request.
  virtual std::optional<HttpRefusal> OnBody(std::string_view bytes) = 0;
};

class HttpParser {
 public:
  explicit HttpParser(const HttpLimits& limits);
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;
  ~HttpParser();

  // Fills method, target, minor_version, host, port and headers of `request` with views into
  // `head`, which is changed (names to lower case) and must outlive the request.
  std::optional<HttpRefusal> ParseHead(std::string& head, HttpRequest& request);
  const HeadFacts& facts() const;
  // Forgets the request: no facts.
  void Reset();

  enum class BodyOutcome { kMore, kDone, kRefused };
  // Takes the body's bytes off the front of `bytes` and gives them to `sink`. Not for
  // BodyFraming::kNone.
  BodyOutcome ParseBody(std::string_view& bytes, BodySink& sink);
  // After kRefused.
  const HttpRefusal& refusal() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cloister
