#pragma once

// Which node process serves, which one follows it, and who may write the state directory.
//
// Owned by the keeper; pure, no system calls. Every method returns what is to be done, in order.
//
// One node has the writer's role; it alone accepts connections. All nodes hold duplicates of the
// same listening sockets, so whoever accepts, no connection is refused: while nobody does, they
// wait in the listeners' backlog. The order of a succession (SIGHUP) that loses nothing:
//
//   keeper -> new    NodeStart, writer = 0       it loads, connects to the zygote, orders blanks
//   new -> keeper    NodePrepared                all that is slow is done; until here the old node
//                                                serves as if nothing were, and a new one that
//                                                fails costs nothing
//   keeper -> old    Drain                       it stops accepting, decides no new request, passes
//                                                its connections on, closes the state directory
//   old -> keeper    WriterReleased              it goes on to answer what it had decided
//   keeper -> new    BecomeWriter                it opens the state, publishes its routes, accepts
//   new -> keeper    NodeReady
//   old -> new       ClientConnection ...        from Drain on, each when it has its answer; they
//                                                wait in a socket until the new one serves
//   old -> keeper    DrainDone, then it exits
//   keeper -> new    NodeAlone                   when none is left that was there before it
//
// So no request is decided by an old node once a new one has begun to decide: what the new one puts
// live is what everybody gets from then on, on any connection.
//
// The role is never held twice: it moves when its holder released it or was reaped. A node that
// dies is replaced, unless it was a successor that had not prepared itself: then the old one stays.
// No phase but serving and finishing lasts for ever: Nodes kills whoever hangs in one.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace cloister {

enum class NodePhase {
  kPreparing,  // started without the role; the older node serves
  kWaiting,    // prepared; the older node was told to drain, or the role is about to come
  kTaking,     // has the role, opens the state
  kServing,    // accepts connections
  kDraining,   // told to drain, has the role still
  kReleased,   // finishes what it had decided
};

const char* NodePhaseName(NodePhase phase);

enum class StepKind {
  kStartWriter,   // start a node with the role
  kStartWithout,  // start a node without it
  kDrain,         // send Drain to `generation`
  kBecomeWriter,  // send BecomeWriter to `generation`
  kStayed,        // the successor `generation` failed; the older node goes on
  kRefused,       // a postponed reload finds too many nodes draining
};

struct Step {
  StepKind kind = StepKind::kDrain;
  std::uint64_t generation = 0;

  bool operator==(const Step&) const = default;
};

class Succession {
 public:
  // The most node processes at one time; a reload beyond is refused.
  static constexpr std::size_t kNodesMax = 4;

  enum class Reload { kStarted, kLater, kRefused };

  // What kind of node to start now; the caller starts it and calls OnStarted.
  Step NextStart() const;
  void OnStarted(std::uint64_t generation);

  // kStarted: start what NextStart says. kLater: a succession is under way, and OnReady asks for
  // another start (or says kRefused) when it is over. kRefused: too many nodes are draining.
  Reload OnReload();

  std::vector<Step> OnPrepared(std::uint64_t generation);
  std::vector<Step> OnReleased(std::uint64_t generation);
  std::vector<Step> OnReady(std::uint64_t generation);
  // The process was reaped.
  std::vector<Step> OnGone(std::uint64_t generation);

  // Whether the writer serves, and no other node is there that ever did.
  bool WriterIsAlone() const;

  std::optional<NodePhase> PhaseOf(std::uint64_t generation) const;
  // The node that serves or is to serve; 0 when there is none.
  std::uint64_t newest() const { return newest_; }
  std::uint64_t writer() const { return writer_; }
  std::size_t size() const { return nodes_.size(); }

 private:
  // Gives the role to the newest node when it is free and that node waits for it.
  void PassRole(std::vector<Step>& steps);

  std::map<std::uint64_t, NodePhase> nodes_;
  std::uint64_t newest_ = 0;
  std::uint64_t writer_ = 0;
  bool reload_again_ = false;
};

}  // namespace cloister
