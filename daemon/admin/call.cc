#include "daemon/admin/call.h"

#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "apis/base/log.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// Text of tenants may not be UTF-8; JSON must be.
std::string Dump(const Json& body) {
  return body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

constexpr std::string_view kRetryAfterSeconds = "2";

}  // namespace

class AdminCalls::Call : public ExchangeListener {
 public:
  Call(AdminCalls& calls, std::uint64_t id, Exchange& exchange)
      : calls_(calls), id_(id), exchange_(&exchange) {
    exchange.SetListener(this);
  }

  void OnClientGone() override {
    exchange_ = nullptr;
    // This call is destroyed with the entry, so what runs is taken out first.
    const std::function<void()> on_gone = std::move(on_gone_);
    calls_.Remove(id_);
    if (on_gone)
      on_gone();
  }
  void OnWritable() override {}

  Exchange* exchange() { return exchange_; }
  void set_on_gone(std::function<void()> on_gone) { on_gone_ = std::move(on_gone); }

 private:
  AdminCalls& calls_;
  std::uint64_t id_;
  Exchange* exchange_;
  std::function<void()> on_gone_;
};

AdminCalls::AdminCalls() = default;

AdminCalls::~AdminCalls() {
  for (auto& [id, call] : calls_)
    if (call->exchange() != nullptr)
      call->exchange()->SetListener(nullptr);
}

std::uint64_t AdminCalls::Add(Exchange& exchange) {
  const std::uint64_t id = ++last_id_;
  calls_[id] = std::make_unique<Call>(*this, id, exchange);
  return id;
}

Exchange* AdminCalls::Find(std::uint64_t id) {
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second->exchange();
}

void AdminCalls::Remove(std::uint64_t id) {
  const auto found = calls_.find(id);
  if (found == calls_.end())
    return;
  if (Exchange* exchange = found->second->exchange(); exchange != nullptr)
    exchange->SetListener(nullptr);
  calls_.erase(found);
}

void AdminCalls::OnGone(std::uint64_t id, std::function<void()> on_gone) {
  if (const auto found = calls_.find(id); found != calls_.end())
    found->second->set_on_gone(std::move(on_gone));
}

Exchange* AdminReply::Take() const {
  const auto calls = calls_.lock();
  if (calls == nullptr)
    return nullptr;
  Exchange* exchange = calls->Find(id_);
  if (exchange != nullptr)
    calls->Remove(id_);
  return exchange;
}

bool AdminReply::pending() const {
  const auto calls = calls_.lock();
  return calls != nullptr && calls->Find(id_) != nullptr;
}

void AdminReply::OnGone(std::function<void()> on_gone) const {
  if (const auto calls = calls_.lock())
    calls->OnGone(id_, std::move(on_gone));
}

void AdminReply::Send(int status, const Json& body) const {
  if (Exchange* exchange = Take(); exchange != nullptr)
    exchange->Respond(status, {{.name = "Content-Type", .value = "application/json"}}, Dump(body));
}

void AdminReply::SendBytes(std::string_view type, std::string_view bytes) const {
  if (Exchange* exchange = Take(); exchange != nullptr)
    exchange->Respond(200, {{.name = "Content-Type", .value = type}}, bytes);
}

void AdminReply::SendNothing() const {
  if (Exchange* exchange = Take(); exchange != nullptr)
    exchange->Respond(204, {}, "");
}

void AdminReply::Fail(ProblemCode code, std::string detail) const {
  Fail(Problem{.code = code, .detail = std::move(detail)});
}

void AdminReply::Fail(const Problem& problem) const {
  Exchange* exchange = Take();
  if (exchange == nullptr)
    return;
  const ProblemInfo& info = InfoOf(problem.code);
  if (info.status >= 500)
    Log(LogLevel::kError, "admin_request_failed",
        {{"code", info.code},
         {"target", exchange->request().target},
         {"why", problem.detail},
         {"request_id", exchange->request().request_id}});
  Json body = {{"type", "docs/errors.md#" + std::string(info.code)},
               {"title", info.sentence},
               {"status", info.status},
               {"detail", problem.detail},
               {"code", info.code},
               {"request_id", exchange->request().request_id}};
  if (!problem.list_name.empty())
    body[problem.list_name] = problem.list;
  const std::array<HttpHeader, 2> headers = {
      HttpHeader{.name = "Content-Type", .value = "application/problem+json"},
      HttpHeader{.name = "Retry-After", .value = kRetryAfterSeconds}};
  exchange->Respond(info.status, std::span(headers).first(info.status == 503 ? 2 : 1), Dump(body));
}

}  // namespace cloister
