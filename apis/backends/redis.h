#pragma once

// One connection to a Redis server, on the loop: the commands of all callers in one pipeline.
//
// Written once a turn of the loop, answered in order. A server that does not answer in time, that
// closes, or that says what nobody asked for costs the connection: every command that waited is
// lost (whether the server ran it is unknown), and the connection is made anew, later each time.
// While there is none, and beyond the limits of what may wait, a command fails at once. Nothing
// blocks: names are resolved beside the loop. Bytes from the server are hostile: hiredis' reader
// parses them, within the limits here. Destroying the object ends all; no call comes after. The
// process ignores SIGPIPE.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "apis/backends/redis_address.h"
#include "apis/base/result.h"
#include "apis/base/units.h"

struct redisReply;  // NOLINT(readability-identifier-naming): hiredis' own
using uv_loop_t = struct uv_loop_s;

namespace cloister {

// A view of one answer, or of an element of it.
class RedisReply {
 public:
  enum class Kind { kNil, kInteger, kText, kStatus, kError, kList };

  explicit RedisReply(const redisReply& reply) : reply_(&reply) {}

  Kind kind() const;
  // 0 unless it is a kInteger.
  std::int64_t integer() const;
  // Of a kText, kStatus or kError; else empty.
  std::string_view text() const;
  // Of a kList; else 0.
  std::size_t size() const;
  RedisReply at(std::size_t index) const;

  bool is(Kind wanted) const { return kind() == wanted; }

 private:
  const redisReply* reply_;
};

struct RedisOptions {
  RedisAddress address;
  // Runs its argument at the end of the loop's turn, before the loop waits.
  std::function<void(std::function<void()>)> at_turn_end;
  // Until the server has accepted us; and from a command to its answer.
  Millis connect_timeout{1000};
  Millis command_timeout{500};
  // Between two attempts, with a random part, so that many nodes do not come at once.
  Millis retry_first{20};
  Millis retry_max{1000};
  // What may wait for answers. Above: refused.
  std::size_t commands_max = 16384;
  Bytes bytes_max = MiB(64);
  // A larger answer, or one whose lists have more elements, ends the connection.
  Bytes reply_max = MiB(2);
  std::size_t elements_max = 1024;
};

// Since the start.
struct RedisCounters {
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
  std::uint64_t lost = 0;
  std::uint64_t refused = 0;  // not sent: no connection, or too much waits
  std::uint64_t connected = 0;
};

class Redis {
 public:
  // Its calls may Send, and must not destroy the Redis.
  class Handler {
   public:
    virtual ~Handler() = default;
    // The reply is gone after the call.
    virtual void OnReply(std::uint64_t tag, const RedisReply& reply) = 0;
    // Sent, and there will be no answer.
    virtual void OnLost(std::uint64_t tag) = 0;
    // From now on commands are taken.
    virtual void OnConnected() {}
    // Until OnConnected no command is taken. Comes before OnLost of what waited.
    virtual void OnDisconnected(const Error& /*why*/) {}
    // An attempt to connect has failed; the next one follows. Perhaps from within the constructor.
    virtual void OnNotConnected(const Error& /*why*/) {}
  };

  // Begins to connect. `handler` and `loop` must outlive the object.
  Redis(uv_loop_t* loop, RedisOptions options, Handler& handler);
  Redis(const Redis&) = delete;
  Redis& operator=(const Redis&) = delete;
  ~Redis();

  // False: not sent, and no call comes for it. Else OnReply or OnLost comes with `tag`, never
  // within this call. The bytes are copied.
  bool Send(std::uint64_t tag, std::span<const std::string_view> arguments);

  bool connected() const;
  // Why there is no connection; empty while there is one, and before the first attempt failed.
  const std::string& trouble() const;
  const RedisCounters& counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cloister
