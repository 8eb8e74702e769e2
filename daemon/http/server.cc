#include "daemon/http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "daemon/http/response_head.h"

namespace cloister {
namespace {

// What a connection over a limit gets; made once, since it must cost nothing.
const std::string& OverLimitAnswer() {
  static const std::string kAnswer = [] {
    const std::string body =
        ProblemJson(503, "too_many_connections", "There are too many connections.", {});
    std::string made =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        "Retry-After: 1\r\nConnection: close\r\nContent-Length: ";
    AppendNumber(made, body.size());
    return made + "\r\n\r\n" + body;
  }();
  return kAnswer;
}

constexpr Micros kWarnEvery{10'000'000};

struct Socket {
  sockaddr_storage address = {};
  bool known = false;
};

Socket PeerOf(int fd) {
  Socket peer;
  socklen_t size = sizeof peer.address;
  peer.known = ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer.address), &size) == 0;
  return peer;
}

// Empty unless the settings name it.
std::optional<IpAddress> TrustedOf(const HttpPeer& peer, const std::vector<IpNetwork>& proxies) {
  const std::optional<IpAddress> address = IpAddress::Parse(peer.address);
  const bool trusted = address && std::ranges::any_of(proxies, [&](const IpNetwork& network) {
                         return network.Contains(*address);
                       });
  return trusted ? address : std::nullopt;
}

HttpPeer DescribePeer(int fd, const Socket& socket) {
  HttpPeer peer;
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (socket.address.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(socket.address);
    ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
    peer.port = ntohs(address.sin_port);
  } else if (socket.address.ss_family == AF_INET6) {
    const auto& address = reinterpret_cast<const sockaddr_in6&>(socket.address);
    ::inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
    peer.port = ntohs(address.sin6_port);
  } else {
    ucred credentials = {};
    socklen_t size = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
      peer.uid = credentials.uid;
      peer.gid = credentials.gid;
    }
  }
  peer.address = text.data();
  return peer;
}

// Empty for a connection that is not counted by address.
std::optional<std::uint64_t> CountedBy(const Socket& socket, LoopbackLimit loopback) {
  std::uint64_t key = 0;
  bool local = false;
  if (socket.address.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(socket.address);
    key = ntohl(address.sin_addr.s_addr);
    local = (key >> 24) == 127;
  } else if (socket.address.ss_family == AF_INET6) {
    const in6_addr& address = reinterpret_cast<const sockaddr_in6&>(socket.address).sin6_addr;
    std::uint32_t low = 0;
    std::memcpy(&low, address.s6_addr + 12, sizeof low);
    low = ntohl(low);
    local =
        IN6_IS_ADDR_LOOPBACK(&address) || (IN6_IS_ADDR_V4MAPPED(&address) && (low >> 24) == 127);
    if (IN6_IS_ADDR_V4MAPPED(&address))
      key = low;
    else
      std::memcpy(&key, address.s6_addr, sizeof key);
  } else {
    return std::nullopt;
  }
  if (local && loopback == LoopbackLimit::kExempt)
    return std::nullopt;
  return key;
}

// What was read already must be taken, or the kernel answers the close with a reset.
void RefuseConnection(int fd) {
  std::array<char, 4096> dropped = {};
  const std::string& answer = OverLimitAnswer();
  (void)::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)::shutdown(fd, SHUT_WR);
  (void)::recv(fd, dropped.data(), dropped.size(), MSG_DONTWAIT);
}

}  // namespace

HttpServer::HttpServer(Loop& loop, const Clock& clock, ServerSettings settings,
                       HttpHandler& handler, AccessLog* access_log)
    : context_(loop, clock, std::move(settings), handler, access_log) {}

HttpServer::~HttpServer() {
  // An exchange's listener may look at the server's state: it goes connection by connection.
  drain_listener_ = nullptr;
  while (!connections_.empty())
    connections_.back()->Drop();
}

void HttpServer::Listen(UniqueFd fd) {
  listeners_.push_back(std::make_unique<Listener>(context_.loop, std::move(fd),
                                                  static_cast<Listener::Handler&>(*this)));
  listeners_.back()->Start();
}

void HttpServer::Adopt(ReleasedConnection connection) {
  ++context_.counters.adopted;
  Admit(std::move(connection.fd), connection.read_ahead);
}

void HttpServer::OnAccepted(UniqueFd fd) {
  ++context_.counters.accepted;
  Admit(std::move(fd), {});
}

void HttpServer::OnExhausted(int fd) {
  RefuseConnection(fd);
  Warn("out_of_descriptors", ++context_.counters.out_of_descriptors);
}

void HttpServer::Admit(UniqueFd fd, std::string_view read_ahead) {
  const ServerSettings& settings = context_.settings;
  const Socket socket = PeerOf(fd.get());
  if (!socket.known)
    return;  // it is gone already
  if (connections_.size() >= settings.connections_max) {
    RefuseConnection(fd.get());
    Warn("too_many_connections", ++context_.counters.over_node_limit);
    return;
  }
  const auto counted = CountedBy(socket, settings.loopback_limit);
  if (counted.has_value()) {
    std::size_t& count = per_address_[*counted];
    if (count >= settings.connections_per_address_max) {
      RefuseConnection(fd.get());
      Warn("too_many_connections_of_address", ++context_.counters.over_address_limit);
      return;
    }
    ++count;
  }
  if (socket.address.ss_family != AF_UNIX) {
    const int on = 1;
    (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  HttpPeer peer = DescribePeer(fd.get(), socket);
  peer.trusted = TrustedOf(peer, settings.trusted_proxies);
  auto connection = std::make_unique<HttpConnection>(context_, static_cast<ConnectionOwner&>(*this),
                                                     std::move(fd), std::move(peer));
  connection->set_place({.index = connections_.size(), .counted_by = counted});
  connections_.push_back(std::move(connection));
  connections_.back()->Start(read_ahead);
}

void HttpServer::OnClosed(HttpConnection& connection) {
  const ConnectionPlace place = connection.place();
  if (place.counted_by.has_value()) {
    const auto count = per_address_.find(*place.counted_by);
    CHECK(count != per_address_.end());
    if (--count->second == 0)
      per_address_.erase(count);
  }
  closed_.push_back(std::move(connections_[place.index]));
  if (place.index + 1 < connections_.size()) {
    connections_[place.index] = std::move(connections_.back());
    connections_[place.index]->set_index(place.index);
  }
  connections_.pop_back();
  context_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
}

void HttpServer::OnReleasable(HttpConnection& connection) {
  CHECK(drain_listener_ != nullptr);
  drain_listener_->OnReleased(connection.Release());
}

void HttpServer::OnTurnEnd() {
  closed_.clear();
  if (drain_listener_ != nullptr && connections_.empty() && !std::exchange(drained_, true))
    drain_listener_->OnDrained();
}

void HttpServer::Drain(DrainMode mode, DrainListener& listener) {
  CHECK(mode == DrainMode::kClose || !context_.drain.has_value());
  context_.drain = mode;
  drain_listener_ = &listener;
  drained_ = false;
  listeners_.clear();
  for (const auto& connection : connections_)
    connection->OnDrainChanged();
  context_.loop.AtTurnEnd(static_cast<TurnTask&>(*this));
}

void HttpServer::Warn(std::string_view event, std::uint64_t count) {
  const MonotonicTime now = context_.loop.Now();
  if (warned_at_ != MonotonicTime() && now - warned_at_ < kWarnEvery)
    return;
  warned_at_ = now;
  Log(LogLevel::kWarning, event, {{"count", count}});
}

}  // namespace cloister
