#pragma once

// The sockets that the node serves on. Opened once by the keeper, which holds them until it stops
// and never reads them; every node process gets duplicates, so a new one refuses nobody.

#include <string>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"

namespace cloister {

// Connections that wait to be accepted, while one node follows another. The kernel caps it at
// net.core.somaxconn.
inline constexpr int kListenBacklog = 4096;

struct Listener {
  std::string name;     // http, health or admin: what NodeStart calls it
  std::string address;  // as bound, with the port that port 0 became
  UniqueFd fd;
};

// `address` as config/validate reads it. kAlreadyExists when the port is in use: the message says
// what to do.
Result<Listener> OpenTcpListener(const std::string& name, const std::string& address);

// A unix socket that everybody may connect to (the node judges by peer credentials). A socket file
// that nobody listens on is replaced; kAlreadyExists when somebody does.
Result<Listener> OpenUnixListener(const std::string& name, const std::string& path);

// Ends listening for every process that has duplicates, also one that is stopped or hangs: who
// connects from now on is refused, who waits to be accepted is reset. What was accepted goes on.
// The path of a unix socket is removed. Nothing to do when `listeners` is empty, as it is then.
void CloseListeners(std::vector<Listener>& listeners);

// Makes the directory of a socket, or an existing one of ours, passable for the members of `group`
// (0750; 0700 while there is no such group). kPermissionDenied when it is somebody else's.
Result<void> PrepareSocketDirectory(const std::string& path, const std::string& group);

}  // namespace cloister
