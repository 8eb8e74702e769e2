#include "daemon/http/parser.h"

#include <llhttp.h>

#include <algorithm>
#include <array>

#include "apis/base/check.h"
#include "daemon/http/head_scanner.h"
#include "daemon/http/target.h"
#include "daemon/http/text.h"

namespace cloister {
namespace {

// Chunk headers may take this much, and so much more for each byte of body.
constexpr std::uint64_t kChunkFramingMax = 16 * 1024;
constexpr std::uint64_t kChunkFramingPerByte = 16;

constexpr HttpRefusal BadRequest(std::string_view code, std::string_view detail) {
  return {.status = 400, .code = code, .detail = detail};
}

constexpr HttpRefusal kBadVersion = {
    .status = 505, .code = "http_version", .detail = "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
constexpr HttpRefusal kUnknownMethod = {
    .status = 501, .code = "unknown_method", .detail = "The request's method is not known here."};
constexpr HttpRefusal kUnknownCoding = {.status = 501,
                                        .code = "unknown_transfer_encoding",
                                        .detail = "Only the transfer coding 'chunked' is known."};
constexpr HttpRefusal kUnknownExpectation = {
    .status = 417, .code = "unknown_expectation", .detail = "Only 100-continue can be expected."};
constexpr HttpRefusal kTrailersTooLarge = {
    .status = 431, .code = "trailers_too_large", .detail = "The request's trailers are too large."};

// Trailers that would change how the message is framed, routed, authorised or read
// (RFC 9110, 6.5.1).
constexpr std::array<std::string_view, 19> kForbiddenTrailers = {"authorization",
                                                                 "cache-control",
                                                                 "connection",
                                                                 "content-encoding",
                                                                 "content-length",
                                                                 "content-range",
                                                                 "content-type",
                                                                 "cookie",
                                                                 "expect",
                                                                 "host",
                                                                 "max-forwards",
                                                                 "pragma",
                                                                 "proxy-authorization",
                                                                 "range",
                                                                 "te",
                                                                 "trailer",
                                                                 "transfer-encoding",
                                                                 "x-forwarded-for",
                                                                 "x-forwarded-host"};

enum class Section { kHead, kBody };

HttpRefusal FromLlhttp(llhttp_errno_t error, Section section) {
  switch (error) {
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
      return kBadVersion;
    case HPE_INVALID_METHOD:
    case HPE_INVALID_CONSTANT:  // a method of another protocol
      return kUnknownMethod;
    case HPE_INVALID_URL:
      return BadRequest("bad_target", "The target holds characters that must be escaped.");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
      return BadRequest("conflicting_lengths",
                        "Content-Length is repeated or stands beside Transfer-Encoding.");
    case HPE_INVALID_CONTENT_LENGTH:
      return BadRequest("bad_content_length", "Content-Length is not a number.");
    case HPE_INVALID_TRANSFER_ENCODING:
      return BadRequest("bad_transfer_encoding", "'chunked' is not the last transfer coding.");
    case HPE_INVALID_CHUNK_SIZE:
    case HPE_STRICT:
      return section == Section::kBody ? BadRequest("bad_chunk", "The chunked body is malformed.")
                                       : BadRequest("bad_header", "A header is malformed.");
    default:
      return BadRequest("bad_header", "A header is malformed.");
  }
}

std::string_view TrimmedEnd(std::string_view value) {
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t'))
    value.remove_suffix(1);
  return value;
}

}  // namespace

struct HttpParser::State {
  llhttp_t llhttp = {};
  HttpLimits limits;
  HeadFacts facts;
  HttpRefusal last_refusal;

  // Of the section being parsed: the head or the trailers.
  std::vector<HttpHeader>* headers = nullptr;
  std::string_view raw_target;
  bool head_complete = false;
  std::uint8_t major = 0;
  std::uint8_t minor = 0;
  std::uint8_t method = 0;
  std::uint16_t flags = 0;

  // Of the body.
  BodySink* sink = nullptr;
  std::optional<HttpRefusal> sink_refusal;
  std::uint64_t body_size = 0;
  std::uint64_t framing_size = 0;
  bool in_trailers = false;
  bool done = false;
  HeadScanner trailer_scanner{HeadScanner::Section::kTrailer};
  std::string trailer_bytes;
  std::vector<HttpHeader> trailers;

  static State& Of(llhttp_t* parser) { return *static_cast<State*>(parser->data); }
  static const llhttp_settings_t* Callbacks();

  void BeginRequest(std::vector<HttpHeader>& into);
  std::optional<HttpRefusal> CheckRequestLine(std::string_view head, HttpRequest& request);
  std::optional<HttpRefusal> CheckTarget(std::string& head, HttpRequest& request) const;
  std::optional<HttpRefusal> CheckHeaders(std::string& head, HttpRequest& request);
  std::optional<HttpRefusal> CheckKnownHeader(const HttpHeader& header, HttpRequest& request);
  std::optional<HttpRefusal> CheckFraming();
  BodyOutcome Refuse(const HttpRefusal& why);
  BodyOutcome ParseTrailers(std::string_view& bytes);

  // Of the head being checked.
  const HttpHeader* host = nullptr;
  const HttpHeader* content_type = nullptr;
  const HttpHeader* transfer_encoding = nullptr;
  bool has_content_length = false;
};

const llhttp_settings_t* HttpParser::State::Callbacks() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_url = [](llhttp_t* parser, const char* at, std::size_t size) noexcept {
      Of(parser).raw_target = {at, size};
      return 0;
    };
    made.on_header_field = [](llhttp_t* parser, const char* at, std::size_t size) noexcept {
      Of(parser).headers->push_back({.name = {at, size}, .value = {}});
      return 0;
    };
    made.on_header_value = [](llhttp_t* parser, const char* at, std::size_t size) noexcept {
      // A value may come in parts, one behind the other: the section is in one piece.
      std::string_view& value = Of(parser).headers->back().value;
      const char* const start = value.empty() ? at : value.data();
      value = {start, static_cast<std::size_t>(at + size - start)};
      return 0;
    };
    made.on_headers_complete = [](llhttp_t* parser) noexcept {
      State& state = Of(parser);
      state.head_complete = true;
      state.major = parser->http_major;
      state.minor = parser->http_minor;
      state.method = parser->method;
      state.flags = parser->flags;
      state.facts.content_length = parser->content_length;
      parser->upgrade = 0;  // an upgrade is a wish: we go on in HTTP/1.1
      return 0;
    };
    made.on_body = [](llhttp_t* parser, const char* at, std::size_t size) noexcept {
      State& state = Of(parser);
      state.body_size += size;
      state.sink_refusal = state.sink->OnBody({at, size});
      return state.sink_refusal.has_value() ? static_cast<int>(HPE_USER) : 0;
    };
    made.on_chunk_header = [](llhttp_t* parser) noexcept {
      State& state = Of(parser);
      state.in_trailers = parser->content_length == 0;
      return state.in_trailers ? static_cast<int>(HPE_PAUSED) : 0;
    };
    made.on_message_complete = [](llhttp_t* parser) noexcept {
      Of(parser).done = true;
      return static_cast<int>(HPE_PAUSED);
    };
    return made;
  }();
  return &kSettings;
}

HttpParser::HttpParser(const HttpLimits& limits) : state_(std::make_unique<State>()) {
  state_->limits = limits;
}

HttpParser::~HttpParser() = default;

const HeadFacts& HttpParser::facts() const {
  return state_->facts;
}

void HttpParser::Reset() {
  state_->facts = {};
  state_->sink_refusal.reset();
}

const HttpRefusal& HttpParser::refusal() const {
  return state_->last_refusal;
}

void HttpParser::State::BeginRequest(std::vector<HttpHeader>& into) {
  llhttp_init(&llhttp, HTTP_REQUEST, Callbacks());
  llhttp.data = this;
  facts = {};
  headers = &into;
  raw_target = {};
  head_complete = in_trailers = done = has_content_length = false;
  body_size = framing_size = 0;
  host = content_type = transfer_encoding = nullptr;
}

std::optional<HttpRefusal> HttpParser::ParseHead(std::string& head, HttpRequest& request) {
  State& state = *state_;
  request.headers.clear();
  state.BeginRequest(request.headers);
  llhttp_errno_t error = llhttp_execute(&state.llhttp, head.data(), head.size());
  if (error == HPE_PAUSED && state.done)  // a request without a body
    error = HPE_OK;
  // What a complete head says comes before llhttp's opinion of how its body is framed.
  if (!state.head_complete)
    return FromLlhttp(error, Section::kHead);
  if (auto refusal = state.CheckRequestLine(head, request); refusal.has_value())
    return refusal;
  if (auto refusal = state.CheckHeaders(head, request); refusal.has_value())
    return refusal;
  if (auto refusal = state.CheckTarget(head, request); refusal.has_value())
    return refusal;
  if (auto refusal = state.CheckFraming(); refusal.has_value())
    return refusal;
  if (error != HPE_OK)
    return FromLlhttp(error, Section::kHead);
  return std::nullopt;
}

std::optional<HttpRefusal> HttpParser::State::CheckRequestLine(std::string_view head,
                                                               HttpRequest& request) {
  request.method = head.substr(0, head.find(' '));
  if (major != 1 || minor > 1)
    return kBadVersion;
  // What llhttp knows besides HTTP: other protocols' methods. Tunnels and echoes we do not offer.
  if (method >= HTTP_SOURCE || method == HTTP_CONNECT || method == HTTP_TRACE)
    return kUnknownMethod;
  request.minor_version = minor;
  facts.keep_alive =
      (flags & F_CONNECTION_CLOSE) == 0 && (minor == 1 || (flags & F_CONNECTION_KEEP_ALIVE) != 0);
  return std::nullopt;
}

std::optional<HttpRefusal> HttpParser::State::CheckTarget(std::string& head,
                                                          HttpRequest& request) const {
  RequestTarget target;
  if (auto refusal = ParseTarget(request.method, raw_target, target); refusal.has_value())
    return refusal;
  request.target = target.target;
  if (target.authority.empty())
    return std::nullopt;
  // Two opinions on the host are an attack on whoever believes the other one.
  const auto authority = ParseHost(target.authority);
  if (!authority.has_value() || authority->port != request.port ||
      !EqualsIgnoreCase(authority->host, request.host))
    return BadRequest("conflicting_hosts", "The target names another host than Host.");
  if (target.target.empty()) {
    request.target = "/";
  } else if (target.target.front() == '?') {
    // The path is empty: its '/' takes the place of the authority's last letter.
    const auto at = static_cast<std::size_t>(target.target.data() - head.data()) - 1;
    head[at] = '/';
    request.target = std::string_view(head).substr(at, target.target.size() + 1);
  }
  return std::nullopt;
}

std::optional<HttpRefusal> HttpParser::State::CheckHeaders(std::string& head,
                                                           HttpRequest& request) {
  std::size_t kept = 0;
  request.host = request.port = {};
  for (HttpHeader header : *headers) {
    if (header.name.empty())
      return BadRequest("bad_header", "A header has no name.");
    char* const name = head.data() + (header.name.data() - head.data());
    bool has_underscore = false;
    for (std::size_t j = 0; j < header.name.size(); ++j) {
      name[j] = ToLower(name[j]);
      has_underscore = has_underscore || name[j] == '_';
    }
    if (has_underscore) {
      ++facts.dropped_headers;
      continue;
    }
    header.value = TrimmedEnd(header.value);
    HttpHeader& slot = (*headers)[kept];
    slot = header;
    if (auto refusal = CheckKnownHeader(slot, request); refusal.has_value())
      return refusal;
    ++kept;
  }
  headers->resize(kept);
  if (host == nullptr && minor == 1)
    return BadRequest("no_host", "An HTTP/1.1 request needs a Host header.");
  if (host != nullptr) {
    const auto parsed = ParseHost(host->value);
    if (!parsed.has_value())
      return BadRequest("bad_host", "Host is malformed.");
    char* const text = head.data() + (parsed->host.data() - head.data());
    std::transform(text, text + parsed->host.size(), text, ToLower);
    request.host = parsed->host;
    request.port = parsed->port;
  }
  return std::nullopt;
}

std::optional<HttpRefusal> HttpParser::State::CheckKnownHeader(const HttpHeader& header,
                                                               HttpRequest& request) {
  const auto take_once = [&header](const HttpHeader*& place) {
    const bool first = place == nullptr;
    place = &header;
    return first;
  };
  const std::string_view name = header.name;
  switch (name.size()) {
    case 4:
      if (name == "host" && !take_once(host))
        return BadRequest("repeated_host", "Host is there more than once.");
      break;
    case 6:
      if (name == "expect" && request.minor_version == 1) {
        if (!EqualsIgnoreCase(header.value, "100-continue"))
          return kUnknownExpectation;
        facts.expects_continue = true;
      }
      break;
    case 12:
      if (name == "content-type" && !take_once(content_type))
        return BadRequest("repeated_content_type", "Content-Type is there more than once.");
      if (name == "x-request-id")
        facts.client_request_id = header.value;
      break;
    case 14:
      has_content_length = has_content_length || name == "content-length";
      break;
    case 17:
      if (name == "transfer-encoding" && !take_once(transfer_encoding))
        return BadRequest("bad_transfer_encoding", "Transfer-Encoding is there more than once.");
      break;
    default:
      break;
  }
  return std::nullopt;
}

std::optional<HttpRefusal> HttpParser::State::CheckFraming() {
  if (transfer_encoding == nullptr) {
    facts.framing = facts.content_length > 0 ? BodyFraming::kLength : BodyFraming::kNone;
    return std::nullopt;
  }
  if (has_content_length)
    return FromLlhttp(HPE_UNEXPECTED_CONTENT_LENGTH, Section::kHead);
  if (minor == 0)
    return BadRequest("bad_transfer_encoding", "HTTP/1.0 knows no Transfer-Encoding.");
  if (!EqualsIgnoreCase(transfer_encoding->value, "chunked"))
    return kUnknownCoding;
  facts.framing = BodyFraming::kChunked;
  headers->erase(headers->begin() + (transfer_encoding - headers->data()));
  return std::nullopt;
}

HttpParser::BodyOutcome HttpParser::State::Refuse(const HttpRefusal& why) {
  last_refusal = why;
  return BodyOutcome::kRefused;
}

HttpParser::BodyOutcome HttpParser::ParseBody(std::string_view& bytes, BodySink& sink) {
  State& state = *state_;
  if (state.in_trailers)
    return state.ParseTrailers(bytes);
  state.sink = &sink;
  const std::uint64_t body_before = state.body_size;
  llhttp_errno_t error = HPE_OK;
  std::size_t taken = bytes.size();
  if (state.facts.framing == BodyFraming::kLength) {
    taken = static_cast<std::size_t>(
        std::min<std::uint64_t>(taken, state.facts.content_length - state.body_size));
    error = llhttp_execute(&state.llhttp, bytes.data(), taken);
  } else {
    error = llhttp_execute(&state.llhttp, bytes.data(), taken);
    if (error == HPE_PAUSED)
      taken = static_cast<std::size_t>(llhttp_get_error_pos(&state.llhttp) - bytes.data());
  }
  if (state.sink_refusal.has_value())
    return state.Refuse(*state.sink_refusal);
  if (error != HPE_OK && error != HPE_PAUSED)
    return state.Refuse(FromLlhttp(error, Section::kBody));
  bytes.remove_prefix(taken);
  if (state.done)
    return BodyOutcome::kDone;
  state.framing_size += taken - (state.body_size - body_before);
  if (state.framing_size > kChunkFramingMax + kChunkFramingPerByte * state.body_size)
    return state.Refuse(BadRequest("bad_chunk", "The chunks' headers are too large."));
  if (!state.in_trailers)
    return BodyOutcome::kMore;
  state.trailer_scanner = HeadScanner(HeadScanner::Section::kTrailer);
  state.trailer_bytes.clear();
  return state.ParseTrailers(bytes);
}

HttpParser::BodyOutcome HttpParser::State::ParseTrailers(std::string_view& bytes) {
  const std::size_t before = trailer_bytes.size();
  trailer_bytes += bytes.substr(0, limits.trailer_max + 1);
  switch (trailer_scanner.Scan(trailer_bytes, limits)) {
    case HeadScanner::Outcome::kMore:
      bytes = {};
      return BodyOutcome::kMore;
    case HeadScanner::Outcome::kRefused:
      return Refuse(trailer_scanner.refusal().status == 431 ? kTrailersTooLarge
                                                            : trailer_scanner.refusal());
    case HeadScanner::Outcome::kComplete:
      break;
  }
  trailer_bytes.resize(trailer_scanner.end());
  bytes.remove_prefix(trailer_bytes.size() - before);
  trailers.clear();
  headers = &trailers;
  llhttp_resume(&llhttp);
  const llhttp_errno_t error = llhttp_execute(&llhttp, trailer_bytes.data(), trailer_bytes.size());
  if (error != HPE_OK && error != HPE_PAUSED)
    return Refuse(FromLlhttp(error, Section::kBody));
  for (const HttpHeader& trailer : trailers)
    for (const std::string_view forbidden : kForbiddenTrailers)
      if (EqualsIgnoreCase(trailer.name, forbidden))
        return Refuse(BadRequest("forbidden_trailer", "A trailer that must be a header."));
  if (!done)
    return Refuse(BadRequest("bad_chunk", "The chunked body is malformed."));
  return BodyOutcome::kDone;
}

}  // namespace cloister
