#pragma once

// The node processes: starts them, has them follow each other, speaks with them.
//
// Owned by the keeper. Who serves and who writes is Succession's to decide; this class carries it
// out. A node may only name workers of its own generation. No tenant byte comes here: messages are
// about processes alone. Client connections go from node to node through a socket pair that is made
// here and never read: both ends stay open, so what one node passed on outlives every node.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "apis/base/clock.h"
#include "apis/base/result.h"
#include "daemon/keeper/control_link.h"
#include "daemon/keeper/ground.h"
#include "daemon/keeper/kept_workers.h"
#include "daemon/keeper/restart_policy.h"
#include "daemon/keeper/succession.h"
#include "daemon/keeper/zygotes.h"

namespace cloister {

class Nodes {
 public:
  // The references must outlive the object.
  Nodes(const Ground& ground, Zygotes& zygotes, KeptWorkers& workers, const Clock& clock)
      : ground_(ground), zygotes_(zygotes), workers_(workers), clock_(clock) {}

  // Starts the first node with the rendered settings. An Error: it cannot be started on this host.
  Result<void> Start(std::string settings);
  // SIGHUP: a new node with new settings is to follow the one that serves.
  void Reload(std::string settings);

  // Reads what the nodes say. `before_each` runs before a packet is acted on: the zygotes' words
  // about workers that it may name must have been read.
  void Receive(const std::function<void()>& before_each);
  void ReportExit(std::uint64_t generation, const WorkerExited& report);
  // Gives every node a socket to the zygote that serves now.
  void AttachAll();
  void Tick();
  std::optional<MonotonicTime> NextTick() const;
  // True when `pid` was a node. Its workers are killed.
  bool OnExit(pid_t pid, int status);
  bool IsAlive(std::uint64_t generation) const;
  // Tells all to finish within the grace and starts no more.
  void Stop(Millis grace);
  void Kill() const;

  template <typename Visitor>
  void ForEachLink(Visitor visit) {
    for (Node& node : nodes_)
      visit(node.link);
  }
  bool empty() const { return nodes_.empty(); }
  // Why nodes cannot run on this host; empty while they may.
  const std::string& fatal() const { return fatal_; }

 private:
  struct Node {
    std::uint64_t generation = 0;
    pid_t pid = 0;
    ControlLink link;
    MonotonicTime started;
    std::string settings;
    bool drained = false;                   // it said DrainDone, and ends by itself
    bool alone = false;                     // it was told so
    bool lost = false;                      // its link broke; it was killed, or has kEndMax
    std::optional<MonotonicTime> deadline;  // of its phase: killed when it is over
  };

  // For a node that has the writer's role, until it serves.
  Millis OpenTimeout() const { return ground_.settings.node.open_timeout; }
  Result<void> StartOne();
  // The node may not read the file itself.
  void PlaceNode(pid_t pid);
  static UniqueFd OpenPassword(const std::string& name, const std::string& path);
  void TryStart();
  void Attach(Node& node);
  void OnPacket(Node& node, const Packet& packet);
  // A node that drains sends late log events to the one that follows.
  std::vector<UniqueFd> MakeLateSocket();
  std::vector<UniqueFd> TakeLateSocket();
  bool OnWorkerRequest(Node& node, const Packet& packet);
  void OnReady(Node& node);
  // Tells the writer when it is.
  void TellAlone();
  void Apply(const std::vector<Step>& steps);
  void RefuseReload();
  Node* Find(std::uint64_t generation);

  const Ground& ground_;
  Zygotes& zygotes_;
  KeptWorkers& workers_;
  const Clock& clock_;
  std::list<Node> nodes_;
  Succession succession_;
  RestartPolicy restarts_;
  std::uint64_t last_generation_ = 0;
  std::string settings_;         // of the next node
  std::string served_settings_;  // of the last node that served
  std::optional<MonotonicTime> start_at_;
  UniqueFd adopt_;  // the ends of the hand-over of connections
  UniqueFd pass_on_;
  UniqueFd late_socket_;  // the end of the node that follows; waits for its BecomeWriter
  bool stopping_ = false;
  std::string fatal_;
};

}  // namespace cloister
