#pragma once

// cloister-query's one loop: orders of the node, packets of workers, one statement at a time.
//
// Whose statements are run by an engine (engine.h). A worker that sends what no honest one sends is
// let go of, and nothing else happens. Ends by itself when nothing was asked for long enough and
// nothing is open.

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/frame.h"
#include "apis/wire/messages.h"
#include "sandbox/query/engine.h"

namespace cloister {

class QueryServer : private QueryAnswers {
 public:
  // Descriptors: frames to the node, messages of the node. Borrowed.
  QueryServer(int channel_fd, int control_fd, QueryEngine& engine)
      : channel_fd_(channel_fd), control_fd_(control_fd), engine_(engine) {}

  void SetOrders(const QueryOrders& orders);
  // Until there is nothing more to do. An Error: the node said what no node says, or the database
  // is lost.
  Result<void> Serve();

 private:
  // A statement that is not whole, as the pieces that came.
  struct Partial {
    std::vector<std::string> pieces;
    std::size_t size = 0;
    std::string head;      // of the first one
    bool refused = false;  // there was no room for it: it is answered when it is whole
  };
  struct Link {
    UniqueFd fd;
    std::uint64_t number = 0;  // of QueryAttach
    std::uint32_t epoch = 0;
    std::map<std::uint32_t, Partial> partial;  // statements that are not whole, by id
    std::deque<std::string> out;               // packets that the worker has no room for
    bool gone = false;
    bool readable = false;
    bool writable = false;
  };

  void Wait();
  int WaitMillis(SteadyTime now) const;
  Result<void> ReceiveOrders();
  void Attach(const QueryAttach& attach, UniqueFd fd);
  void Receive(Link& link);
  // False: it broke the rules.
  bool Take(Link& link, std::string_view bytes);
  bool TakePiece(Link& link, const QueryPacket& packet);
  std::string NoRoom(const Link& link, std::string_view head) const;
  void Execute(Link& link, std::uint32_t id, std::string statement);
  void Answer(std::uint64_t link, std::uint32_t id, std::string_view reply) override;
  void SendFrame(FrameType type, std::string_view payload) const;
  void Reply(Link& link, std::uint32_t id, std::string_view reply);
  void Flush(Link& link);
  void Drop(Link& link);
  // Drops it, and tells the node.
  void Break(Link& link);
  void Report(SteadyTime now);
  bool IsIdle(SteadyTime now) const;

  int channel_fd_;
  int control_fd_;
  QueryEngine& engine_;
  std::chrono::milliseconds idle_max_{30000};
  std::list<Link> links_;
  std::size_t partial_bytes_ = 0;  // of all statements that are not whole
  std::size_t out_bytes_ = 0;      // of all answers that were not taken
  SteadyTime last_asked_ = std::chrono::steady_clock::now();
  SteadyTime report_at_;
  bool to_report_ = false;
  bool orders_readable_ = false;
  std::vector<pollfd> engine_polled_;  // of the last wait
  bool node_gone_ = false;
  std::vector<char> buffer_ = std::vector<char>(kQueryPacketMax + 1);
};

}  // namespace cloister
