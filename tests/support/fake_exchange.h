#pragma once

// An Exchange without a client: keeps what it is answered.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/http/message.h"

namespace cloister {

class FakeExchange : public Exchange {
 public:
  explicit FakeExchange(std::string target = "/") : target_(std::move(target)) {
    request_.method = "GET";
    request_.target = target_;
    request_.host = "hello.demo.localhost";
    request_.remote_addr = "127.0.0.1";
    request_.remote_port = 40000;
    request_.request_id = "01HF8Y0000000000000000000A";
  }

  FakeExchange(const FakeExchange&) = delete;
  FakeExchange& operator=(const FakeExchange&) = delete;
  // As the server does: whoever listens hears that the client is gone.
  ~FakeExchange() override {
    if (listener_ != nullptr && !done())
      GoAway();
  }

  HttpRequest& request() override { return request_; }
  ExchangeNotes& notes() override { return notes_; }
  const ExchangeNotes& notes() const { return notes_; }
  void SetListener(ExchangeListener* listener) override { listener_ = listener; }

  void Respond(int response_status, std::span<const HttpHeader> response_headers,
               std::string_view bytes) override {
    Begin(response_status, {}, response_headers, bytes.size());
    Write(bytes);
    whole = true;
    finished = true;
  }
  using Exchange::Respond;

  void Begin(int response_status, std::string_view phrase,
             std::span<const HttpHeader> response_headers,
             std::optional<std::uint64_t> response_length) override {
    ++responses;
    status = response_status;
    reason = phrase;
    length = response_length;
    for (const HttpHeader& header : response_headers)
      headers.emplace_back(header.name, header.value);
  }
  bool Write(std::string_view bytes) override {
    body += bytes;
    return !full;
  }
  // A client that is full takes a little nevertheless.
  bool WriteNow(std::string_view& rest) override {
    const std::size_t taken = full ? std::min<std::size_t>(rest.size(), 60 * 1024) : rest.size();
    (void)Write(rest.substr(0, taken));
    rest.remove_prefix(taken);
    return !full;
  }
  BodyFit Finish() override {
    finished = true;
    if (!length.has_value() || request_.method == "HEAD" || body.size() == *length)
      return BodyFit::kExact;
    const bool too_long = body.size() > *length;
    body.resize(std::min<std::size_t>(body.size(), *length));
    return too_long ? BodyFit::kTooLong : BodyFit::kTooShort;
  }
  void Abort() override { aborted = true; }

  // The client goes, or takes bytes again.
  void GoAway() { std::exchange(listener_, nullptr)->OnClientGone(); }
  void BecomeWritable() {
    full = false;
    listener_->OnWritable();
  }
  // The value of the (first) response header of that name, as it was given.
  std::string ResponseHeader(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (key == name)
        return value;
    return {};
  }
  bool done() const { return finished || aborted; }

  int responses = 0;
  int status = 0;
  std::string reason;
  std::optional<std::uint64_t> length;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool whole = false;  // by Respond
  bool finished = false;
  bool aborted = false;
  bool full = false;  // Write() says false

 private:
  std::string target_;
  HttpRequest request_;
  ExchangeNotes notes_;
  ExchangeListener* listener_ = nullptr;
};

}  // namespace cloister
