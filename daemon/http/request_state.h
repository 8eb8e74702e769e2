#pragma once

// What one request needs from its head to the end of its answer. Connections take it from a common
// pool when a head is complete and give it back when the answer is: ten thousand idle connections
// hold none, and a busy few use memory that is warm.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apis/base/ip_address.h"
#include "daemon/http/message.h"
#include "daemon/http/parser.h"
#include "daemon/http/spool.h"
#include "daemon/http/stamp.h"

namespace cloister {

// Who is at the other end.
struct HttpPeer {
  std::string address;  // as text; empty on a unix socket
  std::uint16_t port = 0;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
  // Set for a proxy whose word on its clients counts (ServerSettings::trusted_proxies).
  std::optional<IpAddress> trusted;
};

enum class ResponseFraming { kLength, kChunked, kUntilClose };

struct ResponseProgress {
  int status = 0;  // 0: not begun
  ResponseFraming framing = ResponseFraming::kLength;
  std::uint64_t length = 0;   // with kLength
  std::uint64_t written = 0;  // by the handler
  bool has_body = true;       // false: HEAD, 204, 205, 304; what is written is dropped
  bool keep_alive = false;
};

struct RequestState {
  explicit RequestState(const HttpLimits& limits) : parser(limits) {}

  HttpParser parser;
  HttpRequest request;
  ExchangeNotes notes;
  ResponseProgress response;
  RequestIdText id = {};
  std::string head;
  std::string client;  // the address that a trusted proxy names
  std::string body;
  std::unique_ptr<Spool> spool;  // of a body that is larger than memory allows
  std::uint64_t body_size = 0;
  Admission admission;

  // Back to what a new one is, keeping the memory of small buffers.
  void Reset() {
    constexpr std::size_t kKeptMax = 16 * 1024;
    for (std::string* const buffer : {&head, &body, &client}) {
      buffer->clear();
      if (buffer->capacity() > kKeptMax)
        buffer->shrink_to_fit();
    }
    parser.Reset();
    request.headers.clear();
    request.method = request.target = request.host = request.port = {};
    request.remote_addr = request.request_id = request.body.bytes = {};
    request.scheme = "http";
    request.minor_version = 1;
    request.remote_port = 0;
    request.peer_uid.reset();
    request.peer_gid.reset();
    request.body.file.Reset();
    request.body.size = 0;
    notes.app.clear();
    notes.release.clear();
    notes.problem.clear();
    notes.queued = notes.service = Micros(0);
    notes.counted = false;
    response = {};
    spool.reset();
    body_size = 0;
    admission = {};
  }
};

class RequestPool {
 public:
  std::unique_ptr<RequestState> Take(const HttpLimits& limits) {
    if (spare_.empty())
      return std::make_unique<RequestState>(limits);
    std::unique_ptr<RequestState> state = std::move(spare_.back());
    spare_.pop_back();
    return state;
  }
  void Give(std::unique_ptr<RequestState> state) {
    constexpr std::size_t kSpareMax = 256;
    state->Reset();
    if (spare_.size() < kSpareMax)
      spare_.push_back(std::move(state));
  }

 private:
  std::vector<std::unique_ptr<RequestState>> spare_;
};

}  // namespace cloister
