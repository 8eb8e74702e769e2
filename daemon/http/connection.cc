#include "daemon/http/connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
// Beyond so many bytes waiting for the client its next request is not looked at.
constexpr std::size_t kAnsweredPendingMax = 64 * 1024;
// Read and dropped of a client that goes on sending after a refusal: many send a body whole before
// they look at the answer.
constexpr std::size_t kDiscardMax = 64 * 1024 * 1024;
// Of what WriteNow() cannot send: so much waits in memory.
constexpr std::size_t kKeptOfRest = std::size_t{60} * 1024;
constexpr std::uint64_t kNoMark = ~std::uint64_t{0};

constexpr HttpRefusal kHeadTimeout = {
    .status = 408, .code = "head_timeout", .detail = "The request's head took too long to arrive."};
constexpr HttpRefusal kBodyTimeout = {
    .status = 408, .code = "body_timeout", .detail = "The request's body arrived too slowly."};

}  // namespace

HttpConnection::HttpConnection(ConnectionContext& context, ConnectionOwner& owner, UniqueFd fd,
                               HttpPeer peer)
    : context_(context),
      owner_(owner),
      stream_(context.loop, std::move(fd), static_cast<Stream::Handler&>(*this)),
      outbox_(stream_, context),
      peer_(std::move(peer)),
      reader_(context, peer_),
      read_ahead_(context.loop) {}

HttpConnection::~HttpConnection() = default;

void HttpConnection::Start(std::string_view read_ahead) {
  context_.idle.Arm(*this);
  if (!read_ahead.empty())
    read_ahead_.Append(read_ahead);
  read_stopped_ = true;
  context_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
}

void HttpConnection::OnDrainChanged() {
  context_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
}

// Not logged: this is the hot path, and the access log tells the same story once a request.
void HttpConnection::Enter(ConnectionState next) {
  CHECK(MayMove(state_, next));
  state_ = next;
  switch (next) {
    case ConnectionState::kIdle:
      context_.idle.Arm(*this);
      break;
    case ConnectionState::kHead:
      context_.head.Arm(*this);
      break;
    case ConnectionState::kBody:
      body_began_ = context_.loop.Now();
      context_.body.Arm(*this);
      break;
    case ConnectionState::kFlushing:
      ArmReaderCheck();
      break;
    case ConnectionState::kLingering:
      context_.linger.Arm(*this);
      break;
    case ConnectionState::kHandling:
    case ConnectionState::kResponding:
    case ConnectionState::kClosed:
      Disarm();
      break;
  }
}

bool HttpConnection::HasReadAhead() const {
  return advancing_ ? more_follows_ : !read_ahead_.empty();
}

// --- Reading

void HttpConnection::OnData(std::string_view bytes) {
  if (close_after_flush_ || state_ >= ConnectionState::kLingering) {
    Discard(bytes.size());
    return;
  }
  if (!read_ahead_.empty() || !WantsInput()) {
    read_ahead_.Append(bytes);
    if (WantsInput())
      AdvanceStored();
  } else {
    Advance(bytes);
    if (!bytes.empty() && !close_after_flush_)
      read_ahead_.Append(bytes);
  }
  LimitReadAhead();
}

void HttpConnection::AdvanceStored() {
  std::string_view rest = read_ahead_.view();
  Advance(rest);
  read_ahead_.KeepLast(rest.size());
}

void HttpConnection::Advance(std::string_view& bytes) {
  CHECK(!advancing_);
  advancing_ = true;
  bool more = false;
  while (!more && WantsInput() && !bytes.empty()) {
    switch (reader_.Read(bytes, request_)) {
      case RequestReader::Outcome::kMore:
        if (state_ == ConnectionState::kIdle)
          Enter(ConnectionState::kHead);
        more = true;
        break;
      case RequestReader::Outcome::kHead:
        BeginBody(!bytes.empty());
        break;
      case RequestReader::Outcome::kRequest:
        more_follows_ = !bytes.empty();
        Dispatch();
        break;
      case RequestReader::Outcome::kRefused:
        Refuse(reader_.refusal());
        break;
    }
  }
  advancing_ = false;
}

void HttpConnection::BeginBody(bool body_is_here) {
  CHECK(request_ != nullptr);
  Enter(ConnectionState::kBody);
  if (request_->parser.facts().expects_continue && !body_is_here)
    stream_.Write(kContinue);
}

void HttpConnection::Dispatch() {
  CHECK(request_ != nullptr);
  ++context_.counters.requests;
  Enter(ConnectionState::kHandling);
  request_->response.keep_alive = request_->parser.facts().keep_alive;
  outbox_.SetAccount(request_->admission.account);
  context_.handler.Handle(*this);
}

// A part of a head is bounded by its own limit; what lies behind a request is bounded here.
void HttpConnection::LimitReadAhead() {
  const bool full = !WantsInput() && read_ahead_.size() >= context_.settings.read_ahead_max.count;
  if (full == read_stopped_ || state_ == ConnectionState::kClosed)
    return;
  read_stopped_ = full;
  if (full)
    stream_.ReadStop();
  else if (!peer_ended_)
    stream_.ReadStart();
}

void HttpConnection::Discard(std::size_t size) {
  linger_ = true;
  discarded_ += size;
  if (discarded_ > kDiscardMax)
    Close();
}

void HttpConnection::Refuse(const HttpRefusal& refusal) {
  CHECK(request_ != nullptr);
  ++context_.counters.refused;
  request_->response.keep_alive = false;
  linger_ = true;
  const std::string body =
      ProblemJson(refusal.status, refusal.code, refusal.detail, request_->request.request_id);
  const HttpHeader type = {.name = "Content-Type", .value = "application/problem+json"};
  StartHead({.status = refusal.status,
             .reason = {},
             .headers = std::span(&type, 1),
             .length = body.size(),
             .date_line = {}});
  if (request_->response.has_body) {
    stream_.Write(body);
    request_->response.written = body.size();
  }
  EndResponse();
}

// --- Answering

void HttpConnection::StartHead(const ResponseHeadFields& fields) {
  ResponseProgress& response = request_->response;
  // Who closes after this answer says so in it; bytes behind the request are answered first.
  if ((context_.closes() || peer_ended_) && response.keep_alive && !HasReadAhead()) {
    response.keep_alive = false;
    linger_ = true;
  }
  ResponseHeadFields stamped = fields;
  stamped.date_line = context_.date.At(context_.Wall());
  AppendResponseHead(stamped, *request_, stream_.out());
  stream_.Touch();
}

void HttpConnection::Respond(int status, std::span<const HttpHeader> headers,
                             std::string_view body) {
  CHECK(request_ != nullptr && request_->response.status == 0);
  if (state_ == ConnectionState::kHandling) {
    StartHead({.status = status,
               .reason = {},
               .headers = headers,
               .length = body.size(),
               .date_line = {}});
    request_->response.written = body.size();
    if (request_->response.has_body)
      (void)outbox_.Append(body);
  }
  EndResponse();
}

void HttpConnection::Begin(int status, std::string_view reason, std::span<const HttpHeader> headers,
                           std::optional<std::uint64_t> length) {
  CHECK(request_ != nullptr && request_->response.status == 0);
  request_->response.status = status;
  if (state_ != ConnectionState::kHandling)
    return;
  StartHead(
      {.status = status, .reason = reason, .headers = headers, .length = length, .date_line = {}});
  Enter(ConnectionState::kResponding);
}

bool HttpConnection::Write(std::string_view bytes) {
  CHECK(request_ != nullptr && request_->response.status != 0);
  ResponseProgress& response = request_->response;
  const std::uint64_t before = response.written;
  response.written += bytes.size();
  if (state_ != ConnectionState::kResponding || !response.has_body || bytes.empty())
    return true;
  if (response.framing == ResponseFraming::kLength)
    bytes = bytes.substr(0, response.length > before ? response.length - before : 0);
  return AppendBody(bytes);
}

bool HttpConnection::WriteNow(std::string_view& rest) {
  ResponseProgress& response = request_->response;
  const bool direct = state_ == ConnectionState::kResponding && response.has_body &&
                      response.framing == ResponseFraming::kLength && outbox_.in_memory() &&
                      rest.size() <= response.length - std::min(response.length, response.written);
  if (!direct)
    return Write(std::exchange(rest, {}));
  stream_.Flush();
  const std::size_t taken = stream_.SendNow(rest, kKeptOfRest);
  rest.remove_prefix(taken);
  response.written += taken;
  writer_waits_ = stream_.pending() > 0;
  if (writer_waits_ && !armed())
    ArmReaderCheck();
  return !writer_waits_;
}

bool HttpConnection::AppendBody(std::string_view bytes) {
  bool room = true;
  if (request_->response.framing == ResponseFraming::kChunked) {
    std::string size_line;
    AppendChunkSize(size_line, bytes.size());
    (void)outbox_.Append(size_line);
    (void)outbox_.Append(bytes);
    room = outbox_.Append("\r\n");
  } else {
    room = outbox_.Append(bytes);
  }
  writer_waits_ = writer_waits_ || !room;
  if (!armed())
    ArmReaderCheck();
  return !writer_waits_;
}

BodyFit HttpConnection::Finish() {
  CHECK(request_ != nullptr && request_->response.status != 0);
  ResponseProgress& response = request_->response;
  BodyFit fit = BodyFit::kExact;
  if (state_ == ConnectionState::kResponding && response.has_body) {
    if (response.framing == ResponseFraming::kChunked)
      (void)outbox_.Append("0\r\n\r\n");
    else if (response.framing == ResponseFraming::kLength && response.written > response.length)
      fit = BodyFit::kTooLong;
    else if (response.framing == ResponseFraming::kLength && response.written < response.length)
      fit = BodyFit::kTooShort;
  }
  if (fit == BodyFit::kTooShort)
    response.keep_alive = false;
  EndResponse();
  return fit;
}

void HttpConnection::Abort() {
  CHECK(request_ != nullptr);
  if (InExchange()) {
    request_->response.keep_alive = false;
    if (request_->response.status == 0 ||
        request_->response.framing == ResponseFraming::kUntilClose) {
      // Only a reset tells this client that something is missing.
      const linger reset = {.l_onoff = 1, .l_linger = 0};
      (void)::setsockopt(stream_.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      broken_ = true;
    }
  }
  EndResponse();
}

// The answer is complete, or as complete as it will be.
void HttpConnection::EndResponse() {
  WriteAccess();
  const bool keep_alive = request_->response.keep_alive;
  listener_ = nullptr;
  writer_waits_ = false;
  context_.requests.Give(std::exchange(request_, nullptr));
  if (state_ == ConnectionState::kClosed) {  // the client went long ago
    owner_.OnClosed(*this);
    return;
  }
  if (!keep_alive) {
    linger_ = linger_ || HasReadAhead();
    close_after_flush_ = true;
  }
  const bool next = keep_alive && outbox_.in_memory() && stream_.pending() <= kAnsweredPendingMax;
  Enter(next ? ConnectionState::kIdle : ConnectionState::kFlushing);
  if (!advancing_ || !next)
    context_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
}

void HttpConnection::OnDrained() {
  if (!outbox_.Refill()) {
    broken_ = true;
    context_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
    return;
  }
  if (state_ == ConnectionState::kResponding && outbox_.empty())
    Disarm();
  if (state_ == ConnectionState::kFlushing || (writer_waits_ && outbox_.has_room()) ||
      context_.drain.has_value())
    context_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
}

void HttpConnection::EndFlushing() {
  if (!close_after_flush_) {
    Enter(ConnectionState::kIdle);
  } else if (linger_ && !peer_ended_) {
    read_ahead_.KeepLast(0);
    stream_.ShutdownWrite();
    stream_.ReadStart();
    Enter(ConnectionState::kLingering);
  } else {
    Close();
  }
}

// --- Ends of turns, time-outs and connections

void HttpConnection::OnTurnEnd() {
  if (state_ == ConnectionState::kClosed)
    return;
  if (broken_) {
    Close();
    return;
  }
  if (writer_waits_ && outbox_.has_room()) {
    writer_waits_ = false;
    if (listener_ != nullptr)
      listener_->OnWritable();
  }
  if (state_ == ConnectionState::kFlushing && outbox_.empty())
    EndFlushing();
  if (WantsInput() && !read_ahead_.empty())
    AdvanceStored();
  if (WantsInput())
    EndIfPeerEnded();
  LimitReadAhead();
  FollowDrain();
}

void HttpConnection::FollowDrain() {
  if (!context_.drain.has_value() || !CanRelease())
    return;
  if (context_.hands_over())
    owner_.OnReleasable(*this);
  else if (state_ == ConnectionState::kIdle && read_ahead_.empty())
    Close();
}

void HttpConnection::OnEnd(bool broken) {
  peer_ended_ = true;
  broken_ = broken_ || broken || state_ == ConnectionState::kLingering;
  if (broken_ || WantsInput())
    context_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
}

// A client that shut its side may still wait for answers; an unfinished request gets none.
void HttpConnection::EndIfPeerEnded() {
  if (!peer_ended_)
    return;
  if (!outbox_.empty()) {  // answers to what came before
    close_after_flush_ = true;
    Enter(ConnectionState::kFlushing);
  } else {
    Close();
  }
}

void HttpConnection::OnTimeout() {
  switch (state_) {
    case ConnectionState::kHead:
      ++context_.counters.timed_out;
      request_ = reader_.MakeRequest();
      Refuse(kHeadTimeout);
      break;
    case ConnectionState::kBody:
      CheckBodyRate();
      break;
    case ConnectionState::kResponding:
    case ConnectionState::kFlushing:
      CheckReader();
      break;
    case ConnectionState::kIdle:
    case ConnectionState::kLingering:
      Close();
      break;
    case ConnectionState::kHandling:
    case ConnectionState::kClosed:
      break;
  }
}

void HttpConnection::CheckBodyRate() {
  const ServerSettings& settings = context_.settings;
  const auto elapsed = std::chrono::duration_cast<Millis>(context_.loop.Now() - body_began_);
  const auto counted = std::max(elapsed - settings.body_window, Millis(0));
  const std::uint64_t due =
      settings.body_rate_min_per_second.count * static_cast<std::uint64_t>(counted.count()) / 1000;
  if (request_->body_size < due || elapsed >= settings.body_timeout) {
    ++context_.counters.timed_out;
    Refuse(kBodyTimeout);
    return;
  }
  context_.body.Arm(*this);
}

// What the client's kernel acknowledged; our own kernel takes megabytes from us at once.
std::uint64_t HttpConnection::BytesTaken() const {
  int queued = 0;
  if (::ioctl(stream_.fd(), SIOCOUTQ, &queued) != 0 || queued < 0)
    queued = 0;
  const auto in_kernel = static_cast<std::uint64_t>(queued);
  return stream_.sent() > in_kernel ? stream_.sent() - in_kernel : 0;
}

// The mark is set when the first window ends: asking the kernel now would cost every response.
void HttpConnection::ArmReaderCheck() {
  progress_mark_ = kNoMark;
  context_.response.Arm(*this);
}

void HttpConnection::CheckReader() {
  const ServerSettings& settings = context_.settings;
  const std::uint64_t taken = BytesTaken();
  const std::uint64_t due = settings.response_rate_min_per_second.count *
                            static_cast<std::uint64_t>(settings.response_window.count()) / 1000;
  if (progress_mark_ != kNoMark && taken < progress_mark_ + due) {
    ++context_.counters.slow_readers;
    Close();
    return;
  }
  progress_mark_ = taken;
  context_.response.Arm(*this);
}

void HttpConnection::WriteAccess() {
  if (context_.access_log == nullptr)
    return;
  constexpr int kClientClosed = 499;  // as other servers log it
  const HttpRequest& request = request_->request;
  const ResponseProgress& response = request_->response;
  std::uint64_t bytes = response.has_body ? response.written : 0;
  if (response.framing == ResponseFraming::kLength)
    bytes = std::min(bytes, response.length);
  context_.access_log->Write({.time = context_.Wall(),
                              .app = request_->notes.app,
                              .release = request_->notes.release,
                              .method = request.method,
                              .target = request.target,
                              .status = response.status == 0 ? kClientClosed : response.status,
                              .bytes = bytes,
                              .queued = request_->notes.queued,
                              .service = request_->notes.service,
                              .total = context_.clock.Now() - request.received_at,
                              .request_id = request.request_id,
                              .client_request_id = request_->parser.facts().client_request_id,
                              .remote_addr = request.remote_addr});
}

bool HttpConnection::CanRelease() const {
  return state_ <= ConnectionState::kHead && outbox_.empty() && !broken_;
}

ReleasedConnection HttpConnection::Release() {
  CHECK(CanRelease());
  Enter(ConnectionState::kClosed);
  owner_.OnClosed(*this);
  return {.fd = stream_.Release(), .read_ahead = std::string(read_ahead_.view())};
}

void HttpConnection::Drop() {
  Close();
  if (request_ != nullptr) {  // nobody listens: it would have lived until it is answered
    context_.requests.Give(std::exchange(request_, nullptr));
    owner_.OnClosed(*this);
  }
}

void HttpConnection::Close() {
  if (state_ == ConnectionState::kClosed)
    return;
  const bool in_exchange = InExchange();
  Enter(ConnectionState::kClosed);
  stream_.ReadStop();
  if (in_exchange && listener_ == nullptr)
    return;  // lives on until it is answered
  if (in_exchange) {
    WriteAccess();
    std::exchange(listener_, nullptr)->OnClientGone();
  }
  if (request_ != nullptr)
    context_.requests.Give(std::exchange(request_, nullptr));
  owner_.OnClosed(*this);
}

}  // namespace cloister
