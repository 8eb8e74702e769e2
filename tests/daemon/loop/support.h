#pragma once

// Running a loop until something has happened, and pairs of sockets.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <utility>

#include "apis/base/unique_fd.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"

namespace cloister {

// Runs `loop` until `condition` holds at the end of a turn; a test fails after ten seconds.
inline void RunUntil(Loop& loop, const std::function<bool()>& condition) {
  Timer limit(loop);
  limit.Start(Millis(10000), [&loop] {
    ADD_FAILURE() << "nothing happened for ten seconds";
    loop.Stop();
  });
  Timer look(loop);
  look.Repeat(Millis(1), [&] {
    if (condition())
      loop.Stop();
  });
  if (!condition())
    loop.Run();
}

// Runs everything that is due now, and what that causes within the next milliseconds.
inline void RunBriefly(Loop& loop) {
  Timer end(loop);
  end.Start(Millis(5), [&loop] { loop.Stop(); });
  loop.Run();
}

// The first end is non-blocking.
inline std::pair<UniqueFd, UniqueFd> SocketPair(int type = SOCK_STREAM) {
  std::array<int, 2> ends = {-1, -1};
  EXPECT_EQ(0, ::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()));
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace cloister
