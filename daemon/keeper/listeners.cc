#include "daemon/keeper/listeners.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>

#include "config/validate.h"

namespace cloister {
namespace {

Error BindError(const std::string& address, int error_number) {
  if (error_number == EADDRINUSE)
    return {ErrorCode::kAlreadyExists,
            "the address " + address +
                " is in use by another program; stop it (ss -ltnp shows it), or listen elsewhere "
                "with --listen ADDR or http.listen in the settings"};
  if (error_number == EACCES)
    return {ErrorCode::kPermissionDenied,
            "no permission to listen on " + address +
                "; ports below 1024 need root or CAP_NET_BIND_SERVICE"};
  if (error_number == EADDRNOTAVAIL)
    return {ErrorCode::kInvalidArgument,
            "the address " + address + " is not one of this machine's"};
  return SystemError("listening on " + address, error_number);
}

// The address as bound: the text that was asked for, with the real port.
std::string BoundAddress(int fd, const std::string& asked) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof bound;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return asked;
  const in_port_t port = bound.ss_family == AF_INET6
                             ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                             : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port;
  return asked.substr(0, asked.rfind(':') + 1) + std::to_string(ntohs(port));
}

Result<sockaddr_un> UnixAddress(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Error{ErrorCode::kInvalidArgument,
                 "the socket path " + path + " is longer than " +
                     std::to_string(sizeof address.sun_path - 1) +
                     " bytes; name a shorter one in the settings (admin.socket)"};
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> UnixSocket() {
  UniqueFd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.valid())
    return SystemError("socket");
  return made;
}

bool BindUnix(int fd, const sockaddr_un& address) {
  // By the mask, not by chmod: nobody can put another file in the path's place in between.
  const mode_t before = ::umask(0111);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int error_number = errno;
  (void)::umask(before);
  errno = error_number;
  return bound;
}

// Removes a socket file whose listener is gone. kAlreadyExists when there is one.
Result<void> RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0)
    return SystemError("stat of " + path);
  if (!S_ISSOCK(status.st_mode))
    return Error{ErrorCode::kAlreadyExists, path + " exists and is not a socket; move it away"};
  const UniqueFd probe = TRY(UnixSocket());
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno != ECONNREFUSED)
    return Error{ErrorCode::kAlreadyExists,
                 "another program listens on " + path +
                     "; stop it, or name another path in the settings (admin.socket)"};
  if (::unlink(path.c_str()) != 0)
    return SystemError("removing the stale socket " + path);
  return {};
}

bool IsUnix(int fd) {
  int domain = AF_UNSPEC;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

}  // namespace

Result<Listener> OpenTcpListener(const std::string& name, const std::string& address) {
  const SocketAddress parts = TRY(ParseAddress(address));
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failed =
      ::getaddrinfo(parts.host.c_str(), std::to_string(parts.port).c_str(), &hints, &found);
  if (failed != 0)
    return Error{ErrorCode::kInvalidArgument,
                 "'" + address + "' is not an address to listen on: " + ::gai_strerror(failed)};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid())
    return SystemError("socket");
  const int one = 1;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (found->ai_family == AF_INET6)
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (::bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(fd.get(), kListenBacklog) != 0)
    return BindError(address, errno);
  std::string bound = BoundAddress(fd.get(), address);
  return Listener{.name = name, .address = std::move(bound), .fd = std::move(fd)};
}

Result<Listener> OpenUnixListener(const std::string& name, const std::string& path) {
  const sockaddr_un address = TRY(UnixAddress(path));
  UniqueFd fd = TRY(UnixSocket());
  if (!BindUnix(fd.get(), address)) {
    if (errno != EADDRINUSE)
      return SystemError("making the socket " + path);
    TRY(RemoveStale(path, address));
    if (!BindUnix(fd.get(), address))
      return SystemError("making the socket " + path);
  }
  if (::listen(fd.get(), kListenBacklog) != 0)
    return SystemError("listening on " + path);
  return Listener{.name = name, .address = path, .fd = std::move(fd)};
}

void CloseListeners(std::vector<Listener>& listeners) {
  for (const Listener& listener : listeners) {
    if (IsUnix(listener.fd.get()))
      (void)::unlink(listener.address.c_str());
    (void)::shutdown(listener.fd.get(), SHUT_RDWR);
  }
  listeners.clear();
}

Result<void> PrepareSocketDirectory(const std::string& path, const std::string& group) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return SystemError("making " + path);
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!directory.valid())
    return SystemError("opening " + path);
  struct stat status = {};
  if (::fstat(directory.get(), &status) != 0)
    return SystemError("stat of " + path);
  // Whoever owns it could put another socket in ours' place.
  if (status.st_uid != ::geteuid())
    return Error{ErrorCode::kPermissionDenied,
                 path + " belongs to uid " + std::to_string(status.st_uid) +
                     "; remove it, or name another path in the settings (admin.socket)"};
  const struct group* members = group.empty() ? nullptr : ::getgrnam(group.c_str());
  const gid_t gid = members == nullptr ? ::getegid() : members->gr_gid;
  const mode_t mode = members == nullptr ? 0700 : 0750;
  if (::fchown(directory.get(), status.st_uid, gid) != 0)
    return SystemError("chown of " + path);
  if (::fchmod(directory.get(), mode) != 0)
    return SystemError("chmod of " + path);
  return {};
}

}  // namespace cloister
