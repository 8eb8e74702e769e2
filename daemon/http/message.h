#pragma once

// A request as plain data, the exchange that answers it, and who does (the Handler).
//
// The front end and the admin socket use the same server with different Handlers. Everything here
// runs on the loop thread. Strings of a request are views into memory of its exchange: they are
// valid until the exchange is over, and nothing is allocated per request on the hot path.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/clock.h"
#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/channel.h"

namespace cloister {

// Name and value as views. Names: in requests lower case, in responses as they are to be sent.
// Values are without white space around them.
using HttpHeader = WireHeader;

// The whole body of a request: in memory when small, else in an unlinked file.
struct HttpBody {
  std::string_view bytes;  // empty when `file` is valid
  UniqueFd file;           // positioned anywhere: use pread
  std::uint64_t size = 0;
};

// What only the node itself can want of a request to an app's workers; no client has a way to.
struct NodeTerms {
  // For the runtime of the worker: the target names one of its functions.
  bool for_runtime = false;
  // Once nobody waits for the answer nothing else of it is wanted: its worker is ended then.
  bool ends_worker = false;
  // Of the worker's time, whatever the release allows; 0: as the release.
  Millis wall_max{0};
};

struct HttpRequest {
  std::string_view method;
  std::string_view target;  // origin form: path and query, percent-encoded; or "*"
  int minor_version = 1;
  std::string_view scheme = "http";  // or "https", when a trusted proxy says so
  std::string_view
      host;  // of Host: lower case, without port and final dot; empty when there is none
  std::string_view port;  // of Host; empty when it names none
  // At most kHeadersMax. Transfer-Encoding is not among them: the body is whole.
  std::vector<HttpHeader> headers;
  HttpBody body;
  // The client's: the peer's, or what a trusted proxy names. Empty on a unix socket; the port is 0
  // when it is not known.
  std::string_view remote_addr;
  std::uint16_t remote_port = 0;
  // Of the peer, on a unix socket (SO_PEERCRED).
  std::optional<std::uint32_t> peer_uid;
  std::optional<std::uint32_t> peer_gid;
  std::string_view request_id;  // ours: 26 characters, sortable by time
  MonotonicTime received_at;    // when head and body were complete
  // The node's own request, to be answered by the release that it was given to or by none.
  std::optional<NodeTerms> node_terms;

  // The value of the first header of that (lower case) name; empty when there is none.
  std::string_view Header(std::string_view lower_case_name) const;
  // The target before '?', percent-encoded; and after it.
  std::string_view path() const;
  std::string_view query() const;
};

// What the access log says of an exchange beyond what the server knows itself.
struct ExchangeNotes {
  std::string app;
  std::string release;
  std::string problem;  // its code, when the node answered in the app's place or cut the answer off
  Micros queued{0};     // from the complete head and body to a worker's claim
  Micros service{0};    // in the worker
  bool counted = false;  // against the app's quota of requests
};

// Called when the client of an exchange is gone or takes bytes again.
class ExchangeListener {
 public:
  virtual ~ExchangeListener() = default;
  // The client went away: nothing that is written reaches anybody. The Exchange is dead: do not
  // touch it again. Not called from within a call on the Exchange.
  virtual void OnClientGone() = 0;
  // After Write() returned false: more is welcome.
  virtual void OnWritable() = 0;
};

// How the body written compares with the length that Begin() announced.
enum class BodyFit { kExact, kTooLong, kTooShort };

// One request being answered. Owned by the HTTP server, lives until Respond(), Finish(), Abort() or
// OnClientGone(). Exactly one response: either Respond(), or Begin(), Write()*, Finish().
//
// The server adds Date, Content-Length or Transfer-Encoding, Connection and X-Request-Id itself and
// leaves out headers of these names that it is given. What a tenant wants to send must have passed
// CheckResponseHeaders.
class Exchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  virtual ~Exchange() = default;

  virtual HttpRequest& request() = 0;
  virtual ExchangeNotes& notes() = 0;
  // `listener` must outlive the exchange. Null, as at first: nobody wants to know; then the
  // exchange lives until it is answered, even if its client is gone.
  virtual void SetListener(ExchangeListener* listener) = 0;

  // A whole response.
  virtual void Respond(int status, std::span<const HttpHeader> headers, std::string_view body) = 0;
  void Respond(int status, std::initializer_list<HttpHeader> headers, std::string_view body) {
    Respond(status, std::span(headers.begin(), headers.size()), body);
  }

  // A response in pieces. `reason`: empty for the usual one. `length`: the body's, when known (else
  // chunked, or until close for HTTP/1.0). The body of a HEAD, 204 or 304 response is dropped by
  // the server.
  virtual void Begin(int status, std::string_view reason, std::span<const HttpHeader> headers,
                     std::optional<std::uint64_t> length) = 0;
  // Takes all of `bytes` (what goes beyond the length is dropped). False: the buffers (memory, then
  // a file) are full; wait for OnWritable.
  virtual bool Write(std::string_view bytes) = 0;
  // The same for a writer that has the rest at hand and can wait: takes from the front of `rest`
  // what the client takes now and little more, so that nothing piles up in memory and files. False:
  // wait for OnWritable.
  virtual bool WriteNow(std::string_view& rest) { return Write(std::exchange(rest, {})); }
  // kTooShort: the connection is closed, so that the client notices.
  virtual BodyFit Finish() = 0;
  // The response cannot be completed: the connection is closed so that the client notices.
  virtual void Abort() = 0;
};

// The largest body where a handler says nothing else.
inline constexpr Bytes kDefaultBodyMax = MiB(32);

// What the server needs to know of a request as soon as its head is there.
struct Admission {
  Bytes body_max = kDefaultBodyMax;  // 413 beyond
  // Whose share of the files the bodies of request and response take: a number of the handler's.
  std::uint64_t account = 0;
};

class HttpHandler {
 public:
  HttpHandler() = default;
  HttpHandler(const HttpHandler&) = delete;
  HttpHandler& operator=(const HttpHandler&) = delete;
  virtual ~HttpHandler() = default;

  // The request is complete, its body too. Must lead to a response in the end.
  virtual void Handle(Exchange& exchange) = 0;
  // Asked once for each request whose head is complete and valid.
  virtual Admission Admit(const HttpRequest& head) const;
  // Its body was larger than that: it was answered 413.
  virtual void OnBodyRefused(const HttpRequest& /*head*/) {}
};

// Whether `status`, `reason` and `headers` may be sent, for what comes from a tenant. Gives the
// Content-Length among them, for Begin(). kInvalidArgument says which header is wrong and why:
// a status outside 200-599, a name that is no token, a control character in a value, a hop-by-hop
// header, a Content-Length that is no number or that another one contradicts.
Result<std::optional<std::uint64_t>> CheckResponseHeaders(int status, std::string_view reason,
                                                          std::span<const HttpHeader> headers);

// The usual reason phrase; "Unknown" for a status that has none.
std::string_view ReasonPhrase(int status);

// RFC 9457: application/problem+json with `type` (docs/errors.md#code), `title`, `status`,
// `detail`, `code` and, when not empty, `request_id`.
std::string ProblemJson(int status, std::string_view code, std::string_view detail,
                        std::string_view request_id);
// Responds with ProblemJson, and notes the code; with one more header, or with Retry-After.
void RespondProblem(Exchange& exchange, int status, std::string_view code, std::string_view detail,
                    const HttpHeader& extra);
void RespondProblem(Exchange& exchange, int status, std::string_view code, std::string_view detail,
                    std::optional<Seconds> retry_after = std::nullopt);

}  // namespace cloister
