#pragma once

// The zygote: makes blanks for the nodes, and nothing else.
//
// One thread, blocking calls, a poll over the keeper's and the nodes' control sockets. The
// interpreter is warm and no tenant byte ever comes here: a blank gets its app from the node
// directly. Several generations of nodes are served at once, one blank in turn each; a node whose
// socket does not take more waits, and all wait while the keeper owes us a uid for the next blank.
// Ends when the keeper closes its socket; its children live on.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/messages.h"
#include "sandbox/confine.h"
#include "sandbox/steps/seccomp_program.h"

namespace cloister {

class Zygote {
 public:
  // The most blanks that a node may have ordered and not got yet; more are forgotten.
  static constexpr std::uint32_t kWantedMax = 1024;

  // `keeper` is the control socket, `start` its first message, `keeper_pidfd` borrowed.
  // `query_program`: the path of cloister-query.
  Zygote(UniqueFd keeper, int keeper_pidfd, const ZygoteStart& start, SeccompProgram policy,
         std::string query_program)
      : keeper_(std::move(keeper)),
        keeper_pidfd_(keeper_pidfd),
        start_(start),
        policy_(std::move(policy)),
        query_program_(std::move(query_program)) {}

  // Serves until the keeper closes its socket. An Error: the keeper said something that it must
  // not.
  Result<void> Serve();

 private:
  struct Node {
    std::uint64_t generation = 0;
    UniqueFd socket;
    std::uint32_t wanted = 0;
    bool writable = false;
    bool gone = false;
  };

  void Wait();
  // Whether there is an answer to an order: a blank, or that there can be none.
  bool CanAnswer() const { return start_.own_uids == 0 || !uids_.empty() || no_uid_is_free_; }
  Result<void> ReceiveFromKeeper();
  Result<void> AddNode(std::uint64_t generation, std::vector<UniqueFd> fds);
  void ReceiveFromNode(Node& node);
  void MakeOneBlank(Node& node);
  Result<UniqueFd> CloneBlank(const Node& node, BlankReady& ready);
  // A uid for the next blank; 0 where all have ours.
  Result<std::uint32_t> TakeUid();
  Result<void> SettleBlank(const Cloned& blank, int go);
  void SendToNode(Node& node, const std::string& packet, int fd);

  UniqueFd keeper_;
  int keeper_pidfd_;
  ZygoteStart start_;
  SeccompProgram policy_;
  std::string query_program_;
  std::list<Node> nodes_;
  std::uint32_t made_ = 0;
  std::deque<std::uint32_t> uids_;  // for the next blanks
  bool no_uid_is_free_ = false;     // the keeper said so
  bool keeper_readable_ = false;
  bool keeper_gone_ = false;
};

}  // namespace cloister
