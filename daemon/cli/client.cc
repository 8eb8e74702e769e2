#include "daemon/cli/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>

namespace cloister {
namespace {

constexpr std::size_t kPiece = std::size_t{256} * 1024;

Error Broken(std::string_view doing, int error_number) {
  return Error{ErrorCode::kUnavailable,
               std::string(doing) + ": " + std::string(::strerror(error_number))};
}

std::string Head(const HttpCall& call) {
  std::string head =
      std::string(call.method) + " " + call.target + " HTTP/1.1\r\nHost: cloister\r\n";
  if (!call.content_type.empty())
    head += "Content-Type: " + std::string(call.content_type) + "\r\n";
  if (!call.content_type.empty() || call.method == "POST")
    head += "Content-Length: " + std::to_string(call.body.size()) + "\r\n";
  return head + "\r\n";
}

}  // namespace

Result<HttpReply> HttpClient::Send(const HttpCall& call) {
  if (call.repeat == HttpCall::Repeat::kNever)
    connection_.Reset();
  const bool kept = connection_.valid();
  Result<HttpReply> reply = SendOnce(call);
  if (reply.ok() || !kept || answered_ || reply.error().code != ErrorCode::kUnavailable)
    return reply;
  return SendOnce(call);
}

Result<void> HttpClient::Begin(const HttpCall& call) {
  TRY(Connect());
  return WriteHead(call);
}

Result<HttpReply> HttpClient::SendOnce(const HttpCall& call) {
  answered_ = false;
  if (!connection_.valid())
    TRY(Connect());
  ReplyParser parser;
  Result<void> sent = WriteHead(call);
  if (sent.ok())
    sent = WriteBody(call);
  if (!sent.ok() && sent.error().code != ErrorCode::kUnavailable) {
    connection_.Reset();
    return std::move(sent).error();
  }
  // The node may answer and close before it has read all (413): its answer says more than EPIPE.
  Result<void> read = ReadReply(call, parser);
  answered_ = parser.started();
  if (!parser.done() || !read.ok()) {
    connection_.Reset();
    return sent.ok() ? std::move(read).error() : std::move(sent).error();
  }
  if (!parser.keep_alive() || !sent.ok())
    connection_.Reset();
  return parser.TakeReply();
}

Result<void> HttpClient::Connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path_.size() >= sizeof(address.sun_path))
    return Error{ErrorCode::kInvalidArgument, socket_path_ + " is too long for a socket"};
  std::copy(socket_path_.begin(), socket_path_.end(), std::begin(address.sun_path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid())
    return SystemError("making a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == ECONNREFUSED || errno == EAGAIN)
      return Broken("connecting to " + socket_path_, errno);
    return SystemError("connecting to " + socket_path_);
  }
  connection_ = std::move(fd);
  return {};
}

Result<void> HttpClient::Wait(short events, const HttpCall& call) {
  std::array<pollfd, 2> waiting = {pollfd{.fd = connection_.get(), .events = events, .revents = 0},
                                   pollfd{.fd = call.interrupt, .events = POLLIN, .revents = 0}};
  int ready = 0;
  do {
    ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(call.silence_max.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready < 0)
    return SystemError("waiting for the node");
  if (waiting[1].revents != 0)
    return Error{ErrorCode::kDeadlineExceeded, "interrupted"};
  if (ready == 0)
    return Error{
        ErrorCode::kDeadlineExceeded,
        "the node said nothing for " + std::to_string(call.silence_max.count() / 1000) + " s"};
  return {};
}

Result<void> HttpClient::WriteHead(const HttpCall& call) {
  const std::string head = Head(call);
  for (std::string_view rest = head; !rest.empty();)
    rest.remove_prefix(TRY(WriteSome(rest, call)));
  return {};
}

Result<void> HttpClient::WriteBody(const HttpCall& call) {
  std::uint64_t sent = 0;
  while (sent < call.body.size()) {
    sent += TRY(WriteSome(call.body.substr(sent, kPiece), call));
    if (call.on_sent)
      call.on_sent(sent);
  }
  return {};
}

Result<std::size_t> HttpClient::WriteSome(std::string_view bytes, const HttpCall& call) {
  for (;;) {
    const ssize_t wrote = ::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (wrote >= 0)
      return static_cast<std::size_t>(wrote);
    if (errno != EAGAIN && errno != EINTR)
      return Broken("sending to the node", errno);
    TRY(Wait(POLLOUT, call));
  }
}

Result<std::size_t> HttpClient::ReadSome(std::span<char> part, const HttpCall& call) {
  for (;;) {
    const ssize_t got = ::recv(connection_.get(), part.data(), part.size(), 0);
    if (got >= 0)
      return static_cast<std::size_t>(got);
    if (errno != EAGAIN && errno != EINTR)
      return Broken("reading from the node", errno);
    TRY(Wait(POLLIN, call));
  }
}

Result<void> HttpClient::ReadReply(const HttpCall& call, ReplyParser& parser) {
  std::array<char, 65536> part{};
  while (!parser.done()) {
    const std::size_t got = TRY(ReadSome(part, call));
    if (got == 0 && parser.FeedEnd().ok())
      return {};
    if (got == 0)
      return Error{ErrorCode::kUnavailable, "the node closed the connection"};
    TRY(parser.Feed(std::string_view(part.data(), got)));
  }
  return {};
}

}  // namespace cloister
