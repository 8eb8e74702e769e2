#pragma once

// Every limit of an HTTP server, with its unit, its default and the answer at the limit.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "apis/base/ip_address.h"
#include "apis/base/units.h"
#include "daemon/http/limits.h"

namespace cloister {

// Whether connections from the host itself (a reverse proxy, tests) count per address.
enum class LoopbackLimit { kExempt, kCounted };

struct ServerSettings {
  HttpLimits limits;

  // Beyond: 503 and close. The descriptors of the process limit it too.
  std::size_t connections_max = 16384;
  // Of one IPv4 address or one IPv6 /64. Beyond: 503 and close.
  std::size_t connections_per_address_max = 1024;
  LoopbackLimit loopback_limit = LoopbackLimit::kExempt;
  // Peers who are believed what they say of a client (daemon/http/forwarded.h). The limits above
  // count the peer's own address in any case.
  std::vector<IpNetwork> trusted_proxies;

  // From a request's first byte to the end of its head. Then: 408.
  Millis head_timeout{10000};
  // Between requests. Then: close.
  Millis idle_timeout{60000};
  // A body must arrive at this rate, after one window of grace, and within the total. Else: 408.
  Millis body_window{10000};
  Bytes body_rate_min_per_second = KiB(1);
  Millis body_timeout{600000};
  // While bytes wait for it, a client must take this many in every window. Else: abort.
  Millis response_window{10000};
  Bytes response_rate_min_per_second = KiB(1);
  // After a close that the client may not expect, its bytes are read and dropped for so long, so
  // that it gets to read the answer.
  Millis linger_timeout{2000};

  // Bytes of a request's body in memory; what is larger goes to a file.
  Bytes body_memory_max = KiB(64);
  // Bytes read ahead of the request being answered. At the limit: not read until it is answered.
  // With one read beyond it, 64 KiB, they must fit a control message: a connection that is handed
  // over takes them along.
  Bytes read_ahead_max = KiB(32);
  // Bytes of responses in memory, then in a file, per connection. At the limit: back-pressure.
  Bytes response_memory_max = MiB(1);
  Bytes response_file_max = MiB(64);
  // What responses may take of that memory beyond a first 64 KiB each, and those of one account
  // (HttpHandler::Admit). Beyond: a file, as if theirs were full.
  Bytes response_memory_all_max = GiB(1);
  Bytes response_memory_account_max = GiB(1);
  // Files of all bodies and responses of the server. Bodies beyond: 503; responses: back-pressure.
  Bytes spool_max = GiB(4);
  // The same of one account (HttpHandler::Admit); so that none takes what is there for all.
  Bytes spool_account_max = GiB(4);
  // Where these files are made, without a name.
  std::string spool_dir = "/tmp";
};

// What happened to a server since its start.
struct ServerCounters {
  std::uint64_t accepted = 0;
  std::uint64_t adopted = 0;
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;          // requests that no handler saw
  std::uint64_t over_node_limit = 0;  // connections
  std::uint64_t over_address_limit = 0;
  std::uint64_t out_of_descriptors = 0;
  std::uint64_t timed_out = 0;        // heads and bodies
  std::uint64_t slow_readers = 0;     // aborted
  std::uint64_t dropped_headers = 0;  // with an underscore
  std::uint64_t bodies_in_files = 0;
  std::uint64_t responses_in_files = 0;
  std::uint64_t spool_failures = 0;
};

}  // namespace cloister
