#include "daemon/workers/response_relay.h"

#include <algorithm>
#include <utility>

#include "daemon/http/text.h"
#include "daemon/workers/cookie_scope.h"
#include "daemon/workers/supervisor.h"

namespace cloister {
namespace {

// Credit goes back in pieces of at least this size.
constexpr std::uint32_t kCreditStep = kResponseWindow / 4;
// A worker may end a window with a whole frame.
constexpr std::uint32_t kWindowMax = kResponseWindow + kFramePayloadMax;

Error Protocol(const char* what) {
  return Error{ErrorCode::kProtocol, what};
}

// Whether the response to `request` has no body, whatever its head says.
bool HasNoBody(const HttpRequest& request, int status) {
  return request.method == "HEAD" || status == 204 || status == 304;
}

}  // namespace

void ResponseRelay::Start(Exchange& exchange) {
  exchange_ = &exchange;
  head_taken_ = false;
  sent_ = false;
  blocked_ = false;
  uncredited_ = 0;
  object_.reset();
  complaint_.clear();
}

Result<bool> ResponseRelay::TakeHead(const Frame& frame) {
  if (head_taken_)
    return Protocol("a second response to one request");
  head_taken_ = true;
  WireReader reader(frame.payload);
  ResponseHead head = TRY(ResponseHead::Decode(reader));
  const std::string_view body = reader.Rest();
  if (!body.empty() && !frame.Has(kFrameInlineBody))
    return Protocol("a response head with bytes after it");
  const bool whole = frame.Has(kFrameEnd);
  if (!whole)
    TRY(Account(body.size()));
  if (exchange_ != nullptr)
    Deliver(head, body, whole);
  return whole;
}

void ResponseRelay::Deliver(ResponseHead& head, std::string_view body, bool whole) {
  const Result<std::optional<std::uint64_t>> length =
      CheckResponseHeaders(head.status, head.reason, head.headers);
  if (!length.ok())
    return Refuse(length.error().message);
  DropCookiesForOthers(head);
  Result<std::optional<ObjectAnswer>> object =
      ObjectAnswer::Of(head.status, head.reason, head.headers);
  if (!object.ok())
    return Refuse(object.error().message);
  object_ = std::move(object).value();
  if (object_)
    return;
  if (whole)
    return DeliverWhole(head, body, length.value());
  sent_ = true;
  exchange_->Begin(head.status, head.reason, head.headers, length.value());
  if (!body.empty())
    blocked_ = !exchange_->Write(body);
}

void ResponseRelay::DeliverWhole(const ResponseHead& head, std::string_view body,
                                 std::optional<std::uint64_t> length) {
  const bool no_body = HasNoBody(exchange_->request(), head.status);
  if (!no_body && length.has_value() && *length != body.size())
    return Refuse("its Content-Length is " + std::to_string(*length) + ", its body has " +
                  std::to_string(body.size()) + " bytes");
  Exchange& exchange = *std::exchange(exchange_, nullptr);
  const bool usual_reason = head.reason.empty() || head.reason == ReasonPhrase(head.status);
  if (usual_reason && !no_body)
    return exchange.Respond(head.status, head.headers, body);
  if (!length.has_value() && !(no_body && body.empty()))
    length = body.size();
  exchange.Begin(head.status, head.reason, head.headers, length);
  if (!no_body)
    exchange.Write(body);
  exchange.Finish();
}

void ResponseRelay::DropCookiesForOthers(ResponseHead& head) {
  std::erase_if(head.headers, [this](const WireHeader& header) {
    if (!EqualsIgnoreCase(header.name, "set-cookie") ||
        !IsCookieForOthers(header.value, exchange_->request().host))
      return false;
    complaint_ =
        "A Set-Cookie header was dropped: its Domain is not the app's own. Leave Domain out, or "
        "name the app's own host.";
    return true;
  });
}

// The rest of the response is dropped as it comes: the app is wrong, the worker is not.
void ResponseRelay::Refuse(std::string_view what) {
  complaint_ = "The response was not sent: ";
  complaint_ += what;
  Fail(502, "response_refused", "The app's response is not valid HTTP; its log says why.");
}

void ResponseRelay::Fail(int status, std::string_view code, std::string_view detail) {
  if (exchange_ == nullptr)
    return;
  Exchange& exchange = *std::exchange(exchange_, nullptr);
  exchange.notes().problem = code;
  if (sent_)
    return exchange.Abort();
  RespondProblem(exchange, status, code, detail);
}

Result<bool> ResponseRelay::TakeBody(const Frame& frame) {
  if (!head_taken_)
    return Protocol("a response body before its head");
  TRY(Account(frame.payload.size()));
  const bool relayed = exchange_ != nullptr && !object_;
  if (relayed && !frame.payload.empty())
    blocked_ = !exchange_->Write(frame.payload);
  if (relayed && frame.Has(kFrameEnd))
    FinishExchange();
  return frame.Has(kFrameEnd);
}

void ResponseRelay::SendObject(ObjectResponses* objects, const ReleaseSpec& spec) {
  if (!object_ || exchange_ == nullptr)
    return;
  Exchange& exchange = *std::exchange(exchange_, nullptr);
  if (objects == nullptr)
    return RespondProblem(exchange, 503, "object_unavailable", "The node keeps no objects.");
  objects->Respond(exchange,
                   {.app = spec.app_id,
                    .app_name = spec.app.ToString(),
                    .version = spec.version,
                    .overlay = spec.overlay},
                   std::move(*std::exchange(object_, std::nullopt)));
}

void ResponseRelay::FinishExchange() {
  switch (std::exchange(exchange_, nullptr)->Finish()) {
    case BodyFit::kExact:
      return;
    case BodyFit::kTooLong:
      complaint_ = "The response body was longer than its Content-Length; the rest was dropped.";
      return;
    case BodyFit::kTooShort:
      complaint_ =
          "The response body was shorter than its Content-Length; the connection was closed.";
      return;
  }
}

Result<bool> ResponseRelay::TakeAbort(const Frame& frame) {
  WireReader reader(frame.payload);
  const std::string_view reason = reader.Str32();
  if (!reader.AtEnd())
    return Protocol("malformed response abort");
  complaint_ = "The response could not be finished: ";
  complaint_ += reason;
  Fail(500, "app_error", "The app failed; its log says why.");
  return true;
}

Result<void> ResponseRelay::Account(std::size_t bytes) {
  uncredited_ += static_cast<std::uint32_t>(bytes);
  if (uncredited_ > kWindowMax)
    return Protocol("more response body than the node gave credit for");
  return {};
}

std::uint32_t ResponseRelay::TakeCredit() {
  if (uncredited_ < kCreditStep || (blocked_ && exchange_ != nullptr))
    return 0;
  return std::exchange(uncredited_, 0);
}

}  // namespace cloister
