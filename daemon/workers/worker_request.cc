#include "daemon/workers/worker_request.h"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "apis/wire/channel.h"
#include "apis/wire/frame.h"
#include "daemon/workers/request_slots.h"

namespace cloister {

bool WorkerRequest::HasLargeBody() const {
  const HttpBody& http_body = exchange->request().body;
  return http_body.size > kInlineBodyMax || http_body.file.valid();
}

bool WorkerRequest::AppendTo(std::string& out, Millis wall_max_of_release) {
  HttpRequest& http = exchange->request();
  request_id = http.request_id;
  received_at = http.received_at;
  terms = http.node_terms.value_or(NodeTerms());
  std::array<char, 8> port = {};
  const auto port_end = std::to_chars(port.data(), port.data() + port.size(), http.remote_port).ptr;
  const std::string_view usual_port = http.scheme == "https" ? "443" : "80";
  RequestHead head{.slot = static_cast<std::uint8_t>(RequestSlots::SlotOf(id)),
                   .http_minor = static_cast<std::uint8_t>(http.minor_version),
                   .wall_ms = static_cast<std::uint32_t>(WallMax(wall_max_of_release).count()),
                   .content_length = http.body.size,
                   .method = http.method,
                   .target = http.target,
                   .scheme = http.scheme,
                   .server_name = http.host,
                   .server_port = http.port.empty() ? usual_port : http.port,
                   .remote_addr = http.remote_addr,
                   .remote_port = {port.data(), static_cast<std::size_t>(port_end - port.data())},
                   .request_id = http.request_id,
                   .headers = {}};
  // Lent, not copied.
  head.headers.swap(http.headers);
  const bool inline_body = http.body.size > 0 && !HasLargeBody();
  const int flags =
      (inline_body ? kFrameInlineBody : 0) | (terms.for_runtime ? kFrameForRuntime : 0);
  const std::size_t begin =
      BeginFrame(out, FrameType::kRequest, static_cast<std::uint8_t>(flags), id);
  WireWriter writer(out);
  head.Encode(writer);
  head.headers.swap(http.headers);
  if (out.size() - begin - kFrameHeaderSize > kHeadMax) {
    out.resize(begin);
    return false;
  }
  if (inline_body)
    writer.Raw(http.body.bytes);
  FinishFrame(out, begin);
  return true;
}

void RequestQueue::PushBack(WorkerRequest& request) {
  request.before_ = last_;
  request.after_ = nullptr;
  (last_ != nullptr ? last_->after_ : first_) = &request;
  last_ = &request;
  ++size_;
}

void RequestQueue::PushFront(WorkerRequest& request) {
  request.before_ = nullptr;
  request.after_ = first_;
  (first_ != nullptr ? first_->before_ : last_) = &request;
  first_ = &request;
  ++size_;
}

void RequestQueue::Remove(WorkerRequest& request) {
  WorkerRequest* const before = std::exchange(request.before_, nullptr);
  WorkerRequest* const after = std::exchange(request.after_, nullptr);
  (before != nullptr ? before->after_ : first_) = after;
  (after != nullptr ? after->before_ : last_) = before;
  --size_;
}

}  // namespace cloister
