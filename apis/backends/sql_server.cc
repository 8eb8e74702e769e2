#include "apis/backends/sql_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace cloister {
namespace {

Error Unreachable(const std::string& where, int error) {
  return {ErrorCode::kUnavailable,
          "the SQL server at " + where + " cannot be reached: " + std::strerror(error)};
}

// 0, or an errno.
int Connect(int fd, const sockaddr* address, socklen_t size, Millis timeout) {
  if (::connect(fd, address, size) == 0)
    return 0;
  // A unix socket whose queue is full has nothing that could be waited for.
  if (errno != EINPROGRESS)
    return errno;
  pollfd polled = {.fd = fd, .events = POLLOUT, .revents = 0};
  if (::poll(&polled, 1, static_cast<int>(timeout.count())) <= 0)
    return ETIMEDOUT;
  int error = 0;
  socklen_t error_size = sizeof error;
  (void)::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
  return error;
}

Result<UniqueFd> ConnectUnix(const std::string& path, Millis timeout) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Unreachable(path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid())
    return SystemError("socket");
  const int error =
      Connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address, timeout);
  if (error != 0)
    return Unreachable(path, error);
  return fd;
}

struct AddressesDeleter {
  void operator()(addrinfo* addresses) const { ::freeaddrinfo(addresses); }
};

Result<UniqueFd> ConnectTcp(const SqlServerAddress& server, Millis timeout) {
  const std::string where = server.host + ":" + std::to_string(server.port);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed =
      ::getaddrinfo(server.host.c_str(), std::to_string(server.port).c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, AddressesDeleter> addresses(found);
  if (failed != 0)
    return Error{ErrorCode::kUnavailable,
                 "the SQL server at " + where + " cannot be reached: " + ::gai_strerror(failed)};
  int error = EADDRNOTAVAIL;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    UniqueFd fd(::socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid())
      continue;
    error = Connect(fd.get(), each->ai_addr, each->ai_addrlen, timeout);
    if (error != 0)
      continue;
    const int on = 1;
    (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return fd;
  }
  return Unreachable(where, error);
}

}  // namespace

Result<UniqueFd> ConnectSqlServer(const SqlServerAddress& address, Millis timeout) {
  if (!address.socket.empty())
    return ConnectUnix(address.socket, timeout);
  if (!address.directory.empty())
    return ConnectUnix(address.directory + "/.s.PGSQL." + std::to_string(address.port), timeout);
  return ConnectTcp(address, timeout);
}

}  // namespace cloister
