#include "daemon/http/request_reader.h"

#include <utility>

#include "daemon/http/forwarded.h"

namespace cloister {
namespace {

constexpr HttpRefusal kBodyTooLarge = {
    .status = 413, .code = "body_too_large", .detail = "The request's body is too large."};
constexpr HttpRefusal kSpoolFull = {.status = 503,
                                    .code = "spool_full",
                                    .detail = "The node has no room for the request's body now."};

}  // namespace

RequestReader::Outcome RequestReader::Refuse(const HttpRefusal& refusal) {
  refusal_ = refusal;
  return Outcome::kRefused;
}

const HttpRefusal& RequestReader::RefuseBody(const HttpRequest& request) {
  context_.handler.OnBodyRefused(request);
  return kBodyTooLarge;
}

RequestReader::Outcome RequestReader::Read(std::string_view& bytes,
                                           std::unique_ptr<RequestState>& request) {
  return request == nullptr ? ReadHead(bytes, request) : ReadBody(bytes, *request);
}

std::unique_ptr<RequestState> RequestReader::MakeRequest() {
  std::unique_ptr<RequestState> made = context_.requests.Take(context_.settings.limits);
  context_.ids.Make(context_.Wall(), made->id);
  HttpRequest& request = made->request;
  request.request_id = {made->id.data(), made->id.size()};
  request.received_at = context_.clock.Now();
  request.remote_addr = peer_.address;
  request.remote_port = peer_.port;
  request.peer_uid = peer_.uid;
  request.peer_gid = peer_.gid;
  return made;
}

RequestReader::Outcome RequestReader::ReadHead(std::string_view& bytes,
                                               std::unique_ptr<RequestState>& made) {
  switch (scanner_.Scan(bytes, context_.settings.limits)) {
    case HeadScanner::Outcome::kMore:
      return Outcome::kMore;
    case HeadScanner::Outcome::kRefused:
      made = MakeRequest();
      return Refuse(scanner_.refusal());
    case HeadScanner::Outcome::kComplete:
      break;
  }
  made = MakeRequest();
  RequestState& request = *made;
  request.head = bytes.substr(scanner_.begin(), scanner_.end() - scanner_.begin());
  bytes.remove_prefix(scanner_.end());
  scanner_ = HeadScanner(HeadScanner::Section::kHead);
  if (const auto refusal = request.parser.ParseHead(request.head, request.request);
      refusal.has_value())
    return Refuse(*refusal);
  const HeadFacts& facts = request.parser.facts();
  context_.counters.dropped_headers += facts.dropped_headers;
  TakeForwarded(request);
  request.admission = context_.handler.Admit(request.request);
  if (facts.framing == BodyFraming::kNone)
    return Outcome::kRequest;
  if (facts.framing == BodyFraming::kLength &&
      facts.content_length > request.admission.body_max.count)
    return Refuse(RefuseBody(request.request));
  return Outcome::kHead;
}

void RequestReader::TakeForwarded(RequestState& request) {
  HttpRequest& http = request.request;
  std::erase_if(http.headers, [this](const HttpHeader& header) {
    return IsProxyHeader(header.name) || (!peer_.trusted && IsForwardingHeader(header.name));
  });
  if (!peer_.trusted)
    return;
  const ForwardedClient client =
      ReadForwarded(http.headers, *peer_.trusted, context_.settings.trusted_proxies);
  if (!client.scheme.empty())
    http.scheme = client.scheme;
  if (client.address == *peer_.trusted)
    return;
  request.client = client.address.Text();
  http.remote_addr = request.client;
  http.remote_port = client.port;
}

RequestReader::Outcome RequestReader::ReadBody(std::string_view& bytes, RequestState& request) {
  body_of_ = &request;
  switch (request.parser.ParseBody(bytes, *this)) {
    case HttpParser::BodyOutcome::kMore:
      return Outcome::kMore;
    case HttpParser::BodyOutcome::kRefused:
      return Refuse(request.parser.refusal());
    case HttpParser::BodyOutcome::kDone:
      break;
  }
  request.request.received_at = context_.clock.Now();
  request.request.body.size = request.body_size;
  if (request.spool != nullptr)
    request.request.body.file = request.spool->TakeFile();
  else
    request.request.body.bytes = request.body;
  return Outcome::kRequest;
}

std::optional<HttpRefusal> RequestReader::OnBody(std::string_view bytes) {
  RequestState& request = *body_of_;
  request.body_size += bytes.size();
  if (request.body_size > request.admission.body_max.count)
    return RefuseBody(request.request);
  if (request.spool == nullptr && request.body_size <= context_.settings.body_memory_max.count) {
    request.body += bytes;
    return std::nullopt;
  }
  if (request.spool == nullptr)
    if (auto refusal = MoveToFile(request); refusal.has_value())
      return refusal;
  if (!request.spool->Append(bytes).ok()) {
    ++context_.counters.spool_failures;
    return kSpoolFull;
  }
  return std::nullopt;
}

std::optional<HttpRefusal> RequestReader::MoveToFile(RequestState& request) {
  auto made =
      Spool::Create(context_.settings.spool_dir, context_.spool_budget, request.admission.account);
  if (!made.ok() || !made.value()->Append(request.body).ok()) {
    ++context_.counters.spool_failures;
    return kSpoolFull;
  }
  ++context_.counters.bodies_in_files;
  request.spool = std::move(made).value();
  request.body.clear();
  return std::nullopt;
}

}  // namespace cloister
