#include "daemon/workers/node_exchange.h"

#include <algorithm>
#include <utility>

#include "daemon/http/stamp.h"

namespace cloister {
namespace {

// Beyond the time that a worker has from its claim: to be claimed.
constexpr Millis kClaimMax{2000};

}  // namespace

NodeExchange::NodeExchange(const Parts& parts, const NodeTerms& terms, std::size_t body_max,
                           std::function<void()> on_end)
    : parts_(parts),
      body_max_(body_max),
      on_end_(std::move(on_end)),
      timer_(parts.loop),
      state_(HttpLimits()) {
  state_.request.node_terms = terms;
}

NodeExchange::~NodeExchange() {
  GiveUp();
}

std::optional<HttpRefusal> NodeExchange::SetRequest(std::string head, std::string body) {
  state_.head = std::move(head);
  state_.body = std::move(body);
  Stamp();
  return state_.parser.ParseHead(state_.head, state_.request);
}

void NodeExchange::SetCall(std::string function, HttpHeader header, std::string body) {
  state_.head = std::move(function);
  state_.body = std::move(body);
  argument_ = header.value;
  Stamp();
  state_.request.method = "POST";
  state_.request.target = state_.head;
  if (!header.name.empty())
    state_.request.headers = {{.name = header.name, .value = argument_}};
}

void NodeExchange::Stamp() {
  RequestIds().Make(parts_.clock.Wall(), state_.id);
  HttpRequest& request = state_.request;
  request.request_id = {state_.id.data(), state_.id.size()};
  request.remote_addr = "127.0.0.1";
  request.received_at = parts_.clock.Now();
  request.body.bytes = state_.body;
  request.body.size = state_.body.size();
  if (request.node_terms && request.node_terms->wall_max > Millis(0))
    timer_.Start(request.node_terms->wall_max + kClaimMax, [this] { OnTimeOver(); });
}

void NodeExchange::OnTimeOver() {
  if (over_)
    return;
  GiveUp();
  state_.notes.problem = "wall_time_exceeded";
  Close(NodeAnswer::How::kCut);
}

void NodeExchange::Respond(int status, std::span<const HttpHeader> headers, std::string_view body) {
  Begin(status, {}, headers, body.size());
  Write(body);
  Finish();
}

void NodeExchange::Begin(int status, std::string_view reason, std::span<const HttpHeader> headers,
                         std::optional<std::uint64_t> length) {
  answer_.status = status;
  answer_.reason = reason.empty() ? ReasonPhrase(status) : reason;
  length_ = length;
  for (const HttpHeader& header : headers) {
    const std::size_t room = kHeadersShown - answer_.headers.size();
    const std::string line = std::string(header.name) + ": " + std::string(header.value) + "\n";
    answer_.headers += line.substr(0, room);
  }
}

bool NodeExchange::HasNoBody() const {
  return state_.request.method == "HEAD" || answer_.status == 204 || answer_.status == 304;
}

bool NodeExchange::Write(std::string_view bytes) {
  if (HasNoBody())
    return true;
  const std::size_t room = body_max_ - answer_.body.size();
  answer_.body += bytes.substr(0, room);
  if (bytes.size() <= room)
    return true;
  answer_.how = NodeAnswer::How::kTooLarge;
  // Not now: who writes must not hear from within its call that nobody reads.
  if (!scheduled())
    parts_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
  return false;
}

BodyFit NodeExchange::Finish() {
  const std::uint64_t size = answer_.body.size();
  const std::uint64_t promised = HasNoBody() ? size : length_.value_or(size);
  const bool too_short = size < promised;
  answer_.body.resize(std::min(size, promised));
  Close(too_short ? NodeAnswer::How::kCut : NodeAnswer::How::kWhole);
  if (too_short)
    return BodyFit::kTooShort;
  return size > promised ? BodyFit::kTooLong : BodyFit::kExact;
}

void NodeExchange::Abort() {
  Close(NodeAnswer::How::kCut);
}

void NodeExchange::Close(NodeAnswer::How how) {
  over_ = true;
  if (answer_.how == NodeAnswer::How::kWhole)
    answer_.how = how;
  answer_.problem = state_.notes.problem;
  if (!scheduled())
    parts_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
}

void NodeExchange::GiveUp() {
  if (!std::exchange(over_, true) && listener_ != nullptr)
    listener_->OnClientGone();
}

void NodeExchange::OnTurnEnd() {
  GiveUp();
  const std::function<void()> on_end = std::move(on_end_);
  on_end();
}

}  // namespace cloister
