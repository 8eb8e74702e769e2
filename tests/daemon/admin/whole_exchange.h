#pragma once

// An Exchange without a connection: keeps the answer.

#include <gtest/gtest.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "daemon/http/message.h"

namespace cloister {

class WholeExchange : public Exchange {
 public:
  WholeExchange(std::string method, std::string target, std::string body = "")
      : method_(std::move(method)), target_(std::move(target)), body_(std::move(body)) {
    request_.method = method_;
    request_.target = target_;
    request_.body.bytes = body_;
    request_.body.size = body_.size();
    request_.peer_uid = 0;
    request_.peer_gid = 0;
    request_.request_id = "01REQUEST";
  }

  HttpRequest& request() override { return request_; }
  ExchangeNotes& notes() override { return notes_; }
  void SetListener(ExchangeListener* listener) override { listener_ = listener; }

  using Exchange::Respond;
  void Respond(int status, std::span<const HttpHeader> headers, std::string_view body) override {
    EXPECT_FALSE(status_) << "answered twice";
    status_ = status;
    answer_ = body;
    for (const HttpHeader& header : headers)
      headers_.emplace_back(header.name, header.value);
  }
  void Begin(int, std::string_view, std::span<const HttpHeader>,
             std::optional<std::uint64_t>) override {
    ADD_FAILURE() << "the admin API answers whole";
  }
  bool Write(std::string_view) override { return true; }
  BodyFit Finish() override { return BodyFit::kExact; }
  void Abort() override { ADD_FAILURE() << "aborted"; }

  // The client goes away.
  void Leave() {
    if (listener_ != nullptr)
      listener_->OnClientGone();
  }

  bool answered() const { return status_.has_value(); }
  int status() const { return status_.value_or(0); }
  const std::string& body() const { return answer_; }
  nlohmann::json json() const { return nlohmann::json::parse(answer_, nullptr, false); }
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers_)
      if (key == name)
        return value;
    return "";
  }

 private:
  std::string method_;
  std::string target_;
  std::string body_;
  HttpRequest request_;
  ExchangeNotes notes_;
  ExchangeListener* listener_ = nullptr;
  std::optional<int> status_;
  std::string answer_;
  std::vector<std::pair<std::string, std::string>> headers_;
};

}  // namespace cloister
