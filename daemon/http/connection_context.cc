#include "daemon/http/connection_context.h"

#include <utility>

namespace cloister {

ConnectionContext::ConnectionContext(Loop& the_loop, const Clock& the_clock,
                                     ServerSettings the_settings, HttpHandler& the_handler,
                                     AccessLog* the_access_log)
    : loop(the_loop),
      clock(the_clock),
      settings(std::move(the_settings)),
      handler(the_handler),
      access_log(the_access_log),
      spool_budget({.all_max = settings.spool_max, .account_max = settings.spool_account_max}),
      memory_budget({.all_max = settings.response_memory_all_max,
                     .account_max = settings.response_memory_account_max}),
      idle(loop, settings.idle_timeout),
      head(loop, settings.head_timeout),
      body(loop, settings.body_window),
      response(loop, settings.response_window),
      linger(loop, settings.linger_timeout) {}

WallTime ConnectionContext::Wall() {
  if (const MonotonicTime now = loop.Now(); now != wall_read_at_) {
    wall_read_at_ = now;
    wall_ = clock.Wall();
  }
  return wall_;
}

}  // namespace cloister
