#pragma once

// The node's control socket to the keeper (descriptor 3; messages.def has the messages).
//
// KeeperLink tells what the keeper says to two listeners: what concerns workers to the one that
// the supervisor sets (WorkerControl::Listener), everything else to the node (KeeperListener). Runs
// on the loop thread. Messages that the socket does not take at once wait in order.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/names.h"
#include "apis/base/unique_fd.h"
#include "apis/base/units.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/messages.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"

namespace cloister {

// What only the keeper can do to a worker. An interface so that tests need no keeper.
class WorkerControl {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Answers Place(); `error`: empty, or why the worker must not be used.
    virtual void OnWorkerPlaced(WorkerId worker, std::string_view error) = 0;
    // `status` as of waitpid.
    virtual void OnWorkerExited(WorkerId worker, std::uint32_t status, Micros cpu) = 0;
  };

  virtual ~WorkerControl() = default;
  // Null: nobody listens. It must outlive this or be unset.
  virtual void SetListener(Listener* listener) = 0;
  // Moves a blank into its app's cgroup.
  virtual void Place(const PlaceWorker& order) = 0;
  // SIGKILL. Nothing happens when the worker is gone.
  virtual void Kill(WorkerId worker) = 0;
  // The reserved signal: WallTimeExceeded in the worker.
  virtual void Interrupt(WorkerId worker) = 0;
  // The socket to the zygote is lost: a new one is wanted. Nothing happens while there is no
  // zygote.
  virtual void WantZygote() = 0;
};

// What the keeper asks of the node itself.
class KeeperListener {
 public:
  virtual ~KeeperListener() = default;
  virtual void OnZygoteSocket(UniqueFd socket) = 0;
  // `predecessor`: where late log events of the node before this one arrive; invalid: nowhere.
  virtual void OnBecomeWriter(UniqueFd predecessor) = 0;
  // `successor`: where late log events go.
  virtual void OnDrain(UniqueFd successor) = 0;
  // Until OnDrain there is no other node process that serves or answers.
  virtual void OnAlone() = 0;
  virtual void OnStop(Millis grace) = 0;
  // The keeper is gone or speaks nonsense: the node must end.
  virtual void OnKeeperLost(const Error& why) = 0;
};

// The first message of a node's life and the descriptors that came with it, in order of
// `start.fd_names`.
struct NodeOrders {
  NodeStart start;
  std::vector<UniqueFd> fds;
};
// Waits for it; for before the loop runs.
Result<NodeOrders> ReceiveNodeStart(int control_fd);

class KeeperLink : public WorkerControl, private FdWatch::Handler {
 public:
  KeeperLink(Loop& loop, UniqueFd socket, KeeperListener& node);
  KeeperLink(const KeeperLink&) = delete;
  KeeperLink& operator=(const KeeperLink&) = delete;
  ~KeeperLink() override = default;

  void SetListener(Listener* listener) override { workers_ = listener; }
  void Place(const PlaceWorker& order) override;
  void Kill(WorkerId worker) override;
  void Interrupt(WorkerId worker) override;
  void WantZygote() override;

  // NodePrepared, NodeReady, WriterReleased, DrainDone.
  template <typename M>
  void Send(const M& message) {
    SendBytes(EncodeMessage(message));
  }

 private:
  void SendBytes(std::string bytes);
  void SendWaiting();
  void OnReadable() override;
  void OnWritable() override { SendWaiting(); }
  Result<void> Take(Packet packet);
  Result<void> TakeForWorkers(const Packet& packet);
  void Lose(const Error& why);

  UniqueFd socket_;
  KeeperListener& node_;
  Listener* workers_ = nullptr;
  std::unique_ptr<FdWatch> watch_;
  std::deque<std::string> unsent_;
  bool lost_ = false;
};

}  // namespace cloister
