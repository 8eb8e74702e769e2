#pragma once

// The worker's end of a channel, on the test's own loop: it does what the test says, honest or not.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/unique_fd.h"
#include "apis/wire/channel.h"
#include "apis/wire/frame.h"
#include "apis/wire/messages.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"

namespace cloister {

class ScriptedWorker : private FdWatch::Handler {
 public:
  struct Got {
    std::uint32_t id = 0;
    std::uint8_t slot = 0;
    std::string method;
    std::string target;
    std::string server_port;
    std::string request_id;
    std::vector<std::pair<std::string, std::string>> headers;
    std::uint64_t content_length = 0;
    std::uint32_t wall_ms = 0;
    bool for_runtime = false;
    std::string body;         // inline, or of frames so far
    bool body_ended = false;  // the last frame of it came
  };

  // `inbox` is the memory file of the page.
  ScriptedWorker(Loop& loop, UniqueFd channel, int inbox);
  ScriptedWorker(const ScriptedWorker&) = delete;
  ScriptedWorker& operator=(const ScriptedWorker&) = delete;
  ~ScriptedWorker() override;

  void Ready();
  void FailBoot(const BootReport& report);
  bool Claim(const Got& request);
  // Claims and answers whole, with a length.
  void Answer(const Got& request, std::string_view body = "Hello, world");
  // kResponse; the body inline when it is not empty.
  void SendHead(std::uint32_t id, const ResponseHead& head, std::string_view body,
                std::uint8_t flags);
  void SendBody(std::uint32_t id, std::string_view body, std::uint8_t flags);
  void SendU32(FrameType type, std::uint32_t id, std::uint32_t number);
  void SendLog(std::uint32_t id, std::string_view text, std::uint8_t flags = 0);
  void SendCode(std::string_view path, std::string_view code, std::uint8_t flags = 0);
  void Send(const Frame& frame);
  void SendRaw(std::string_view bytes);
  void StopReading();
  // Closes the channel, as death does.
  void Close();

  // Called for every request; the worker's habit.
  std::function<void(ScriptedWorker&, const Got&)> on_request;

  HandOver orders;
  std::vector<Got> requests;
  std::vector<std::string> configs;                            // payloads, whole
  std::vector<std::pair<std::uint32_t, std::string>> replies;  // to calls: id, payload
  std::uint64_t credit = 0;                                    // of response bodies, all together
  bool shutdown = false;
  bool closed = false;  // the node closed the channel
  InboxPage* page = nullptr;

 private:
  void OnReadable() override;
  void OnWritable() override;
  void Take(const Frame& frame);
  void Flush();

  UniqueFd channel_;
  std::unique_ptr<FdWatch> watch_;
  bool reading_ = true;
  std::string in_;
  std::string config_part_;
  std::string out_;
};

}  // namespace cloister
