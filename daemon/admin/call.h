#pragma once

// One request to the admin API while it is answered, perhaps after the handler has returned.
//
// Handlers get an AdminReply: a handle that can be copied into callbacks, and that does nothing
// once the request is answered or its client is gone. Runs on the loop thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include <nlohmann/json_fwd.hpp>

#include "daemon/http/message.h"
#include "daemon/releases/problem.h"

namespace cloister {

// The requests that are not answered yet.
class AdminCalls {
 public:
  AdminCalls();
  AdminCalls(const AdminCalls&) = delete;
  AdminCalls& operator=(const AdminCalls&) = delete;
  ~AdminCalls();

  std::uint64_t Add(Exchange& exchange);
  // Null when it is answered or its client is gone.
  Exchange* Find(std::uint64_t id);
  void Remove(std::uint64_t id);
  void OnGone(std::uint64_t id, std::function<void()> on_gone);
  std::size_t size() const { return calls_.size(); }

 private:
  class Call;
  std::unordered_map<std::uint64_t, std::unique_ptr<Call>> calls_;
  std::uint64_t last_id_ = 0;
};

class AdminReply {
 public:
  AdminReply(const std::shared_ptr<AdminCalls>& calls, std::uint64_t id) : calls_(calls), id_(id) {}

  // 200, 201 or 202 with a JSON object.
  void Send(int status, const nlohmann::json& body) const;
  // 200 with bytes of that type.
  void SendBytes(std::string_view type, std::string_view bytes) const;
  // 204.
  void SendNothing() const;
  void Fail(const Problem& problem) const;
  void Fail(ProblemCode code, std::string detail) const;

  // Called when the client goes away before the answer: what is waited for can be cancelled.
  void OnGone(std::function<void()> on_gone) const;
  bool pending() const;

  // The exchange, for whoever answers it in another way and listens to it from now on; null when
  // there is nobody to answer.
  Exchange* Take() const;

 private:
  std::weak_ptr<AdminCalls> calls_;
  std::uint64_t id_;
};

}  // namespace cloister
