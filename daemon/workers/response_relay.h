#pragma once

// One response on its way from a worker's frames to its exchange.
//
// Two kinds of wrong are kept apart. A frame that an honest worker never sends is an Error: it ends
// the worker. A response that HTTP does not allow (a bad header, a body that does not fit its
// Content-Length) is the app's mistake: the client gets a 502 or a closed connection, complaint()
// says what to tell the tenant, and the worker goes on. A response whose body is an object
// (daemon/objects/object_responses.h) is kept until it is whole, without the body that it came
// with.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/result.h"
#include "apis/wire/channel.h"
#include "apis/wire/frame.h"
#include "daemon/http/message.h"
#include "daemon/objects/object_responses.h"

namespace cloister {

struct ReleaseSpec;

class ResponseRelay {
 public:
  // Begins anew, for the response that `exchange` waits for.
  void Start(Exchange& exchange);
  // The client is gone, or was answered by somebody else: what comes is dropped.
  void DropClient() { exchange_ = nullptr; }

  // Each takes one frame and says whether the response is complete with it.
  Result<bool> TakeHead(const Frame& frame);
  Result<bool> TakeBody(const Frame& frame);
  // The app failed after it had begun: there is no more.
  Result<bool> TakeAbort(const Frame& frame);

  // Ends the exchange for want of a response: with a problem while nothing was sent, else by
  // closing the connection.
  void Fail(int status, std::string_view code, std::string_view detail);

  // Body bytes that were taken off the worker's hands and not yet credited; 0 while the client is
  // slow or when there are too few to be worth a frame.
  std::uint32_t TakeCredit();
  void OnWritable() { blocked_ = false; }

  // Of a response that is whole and names an object: `objects` sends it. Null: nobody does.
  void SendObject(ObjectResponses* objects, const ReleaseSpec& spec);

  // Who waits for the response; null: nobody any more.
  Exchange* exchange() const { return exchange_; }
  // What the app did wrong; empty: nothing.
  const std::string& complaint() const { return complaint_; }

 private:
  void Deliver(ResponseHead& head, std::string_view body, bool whole);
  void DeliverWhole(const ResponseHead& head, std::string_view body,
                    std::optional<std::uint64_t> length);
  void DropCookiesForOthers(ResponseHead& head);
  void Refuse(std::string_view what);
  void FinishExchange();
  Result<void> Account(std::size_t bytes);

  Exchange* exchange_ = nullptr;  // null: nobody waits any more
  bool head_taken_ = false;
  bool sent_ = false;     // something reached the client's connection
  bool blocked_ = false;  // the exchange wants no more for now
  std::uint32_t uncredited_ = 0;
  std::optional<ObjectAnswer> object_;
  std::string complaint_;
};

}  // namespace cloister
