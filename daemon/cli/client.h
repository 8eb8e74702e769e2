#pragma once

// Blocking HTTP/1.1 over the node's admin socket, one request at a time.
//
// Keeps its connection. A request that may safely be sent twice is sent again on a new connection
// when the kept one turns out to be closed; any other starts on a new connection. Every wait is
// bounded, a long poll's by what it asks for.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/base/units.h"
#include "daemon/cli/reply_parser.h"

namespace cloister {

struct HttpCall {
  enum class Repeat { kSafe, kNever };

  std::string_view method = "GET";
  // Initialisers, so that GCC lets a caller leave members out.
  // NOLINTBEGIN(readability-redundant-member-init)
  std::string target = {};
  std::string_view content_type = {};  // empty: no body
  std::string_view body = {};
  Repeat repeat = Repeat::kSafe;
  Millis silence_max{60000};                             // without a byte from the node
  std::function<void(std::uint64_t sent)> on_sent = {};  // bytes of the body so far; may be empty
  int interrupt = -1;  // a descriptor: no more is waited for once it is readable
  // NOLINTEND(readability-redundant-member-init)
};

class HttpClient {
 public:
  explicit HttpClient(std::string socket_path) : socket_path_(std::move(socket_path)) {}

  // kNotFound: no socket. kUnavailable: nobody listens, or the connection broke. kPermissionDenied:
  // the socket is not ours to use. kDeadlineExceeded: silence. kProtocol: not HTTP.
  // kDeadlineExceeded also: interrupted.
  Result<HttpReply> Send(const HttpCall& call);
  // Only asks: what the node does then ends with this client. The call has no body.
  Result<void> Begin(const HttpCall& call);

  const std::string& socket_path() const { return socket_path_; }

 private:
  Result<void> Connect();
  Result<HttpReply> SendOnce(const HttpCall& call);
  Result<void> WriteHead(const HttpCall& call);
  Result<void> WriteBody(const HttpCall& call);
  // How much of `bytes` went out, or came into `part`: more than nothing, but for the end of input.
  Result<std::size_t> WriteSome(std::string_view bytes, const HttpCall& call);
  Result<std::size_t> ReadSome(std::span<char> part, const HttpCall& call);
  Result<void> ReadReply(const HttpCall& call, ReplyParser& parser);
  Result<void> Wait(short events, const HttpCall& call);

  std::string socket_path_;
  UniqueFd connection_;
  bool answered_ = false;  // whether anything of the latest response arrived
};

}  // namespace cloister
