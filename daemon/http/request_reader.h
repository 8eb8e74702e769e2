#pragma once

// Bytes of one connection to whole requests: head, then body, into memory or a file.
//
// Fills one RequestState at a time; a refusal is final for the connection.

#include <memory>
#include <optional>
#include <string_view>

#include "daemon/http/connection_context.h"
#include "daemon/http/head_scanner.h"
#include "daemon/http/parser.h"
#include "daemon/http/refusal.h"
#include "daemon/http/request_state.h"

namespace cloister {

class RequestReader : private BodySink {
 public:
  enum class Outcome {
    kMore,     // everything usable was used; more bytes are needed
    kHead,     // the head is complete, a body follows: go on
    kRequest,  // the request is complete
    kRefused,  // see refusal()
  };

  RequestReader(ConnectionContext& context, const HttpPeer& peer)
      : context_(context), peer_(peer) {}

  // Takes what it can use off the front of `bytes`; what it leaves there must be there again, in
  // front of what is new, at the next call. `request` is null until a head is complete, unless it
  // is refused: then it is there for the answer.
  Outcome Read(std::string_view& bytes, std::unique_ptr<RequestState>& request);
  const HttpRefusal& refusal() const { return refusal_; }
  // Takes a RequestState for an answer to a request whose head never came.
  std::unique_ptr<RequestState> MakeRequest();

 private:
  Outcome ReadHead(std::string_view& bytes, std::unique_ptr<RequestState>& made);
  Outcome ReadBody(std::string_view& bytes, RequestState& request);
  std::optional<HttpRefusal> OnBody(std::string_view bytes) override;
  std::optional<HttpRefusal> MoveToFile(RequestState& request);
  // Who the client is and how it speaks, when proxies stand between.
  void TakeForwarded(RequestState& request);
  Outcome Refuse(const HttpRefusal& refusal);
  const HttpRefusal& RefuseBody(const HttpRequest& request);

  ConnectionContext& context_;
  const HttpPeer& peer_;
  HeadScanner scanner_{HeadScanner::Section::kHead};
  RequestState* body_of_ = nullptr;  // during ReadBody
  HttpRefusal refusal_;
};

}  // namespace cloister
