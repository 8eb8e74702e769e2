#pragma once

// What all connections of a server share: the loop, the limits, the handler, timeouts, budgets.

#include <optional>

#include "apis/base/clock.h"
#include "daemon/http/access_log.h"
#include "daemon/http/message.h"
#include "daemon/http/request_state.h"
#include "daemon/http/settings.h"
#include "daemon/http/spool.h"
#include "daemon/http/stamp.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timeout_queue.h"

namespace cloister {

// What becomes of the connections of a server that accepts no more.
enum class DrainMode {
  kHandOver,  // no new request is begun: they are released as they are, for another process
  kClose,     // what has arrived is answered, the last answer says so, then they are closed
};

class ConnectionContext {
 public:
  ConnectionContext(Loop& the_loop, const Clock& the_clock, ServerSettings the_settings,
                    HttpHandler& the_handler, AccessLog* the_access_log);

  // The time of day, read at most once a millisecond.
  WallTime Wall();

  Loop& loop;
  const Clock& clock;
  const ServerSettings settings;
  HttpHandler& handler;
  AccessLog* const access_log;  // null: none is kept
  ServerCounters counters;
  ByteBudget spool_budget;
  ByteBudget memory_budget;  // of responses
  RequestPool requests;
  RequestIds ids;
  DateHeader date;
  TimeoutQueue idle;
  TimeoutQueue head;
  TimeoutQueue body;
  TimeoutQueue response;
  TimeoutQueue linger;
  std::optional<DrainMode> drain;

  bool hands_over() const { return drain == DrainMode::kHandOver; }
  bool closes() const { return drain == DrainMode::kClose; }

 private:
  MonotonicTime wall_read_at_;
  WallTime wall_;
};

}  // namespace cloister
