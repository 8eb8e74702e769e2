#pragma once

// cloister-query's one loop: orders of the node, packets of workers, one statement at a time.
//
// A statement that finds the database locked waits here until a transaction has ended, so that the
// one who is to end it is heard. A worker that sends what no honest one sends is let go of, and
// nothing else happens. Ends by itself when nothing was asked for long enough and nothing is open.

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
#include "sandbox/query/sessions.h"

namespace cloister {

class QueryServer {
 public:
  // Descriptors: frames to the node, messages of the node. Borrowed.
  QueryServer(int channel_fd, int control_fd, QuerySessions& sessions)
      : channel_fd_(channel_fd), control_fd_(control_fd), sessions_(sessions) {}

  void SetOrders(const QueryOrders& orders);
  // Until there is nothing more to do. An Error: the node said what no node says.
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
    std::size_t waiting = 0;                   // statements that are parked
    bool gone = false;
    bool readable = false;
    bool writable = false;
  };
  struct Parked {
    std::uint64_t link = 0;
    std::uint32_t id = 0;
    std::string statement;
    SteadyTime until;
  };

  void Wait();
  int WaitMillis(SteadyTime now) const;
  Result<void> ReceiveOrders();
  void Attach(const QueryAttach& attach, UniqueFd fd);
  void Receive(Link& link);
  // False: it broke the rules.
  bool Take(Link& link, std::string_view bytes);
  bool TakePiece(Link& link, const QueryPacket& packet);
  void Execute(Link& link, std::uint32_t id, std::string statement);
  void Retry();
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
  QuerySessions& sessions_;
  std::chrono::milliseconds idle_max_{30000};
  std::list<Link> links_;
  std::deque<Parked> parked_;
  std::size_t partial_bytes_ = 0;  // of all statements that are not whole
  std::size_t out_bytes_ = 0;      // of all answers that were not taken
  SteadyTime last_asked_ = std::chrono::steady_clock::now();
  SteadyTime report_at_;
  bool to_report_ = false;
  bool orders_readable_ = false;
  bool node_gone_ = false;
  std::vector<char> buffer_ = std::vector<char>(kQueryPacketMax + 1);
};

}  // namespace cloister
