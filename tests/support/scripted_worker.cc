#include "tests/support/scripted_worker.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "apis/base/check.h"

namespace cloister {

ScriptedWorker::ScriptedWorker(Loop& loop, UniqueFd channel, int inbox)
    : channel_(std::move(channel)),
      watch_(
          std::make_unique<FdWatch>(loop, channel_.get(), static_cast<FdWatch::Handler&>(*this))) {
  void* const memory =
      ::mmap(nullptr, kInboxPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, inbox, 0);
  CHECK(memory != MAP_FAILED);
  page = static_cast<InboxPage*>(memory);
  watch_->Watch(reading_, false);
}

ScriptedWorker::~ScriptedWorker() {
  ::munmap(page, kInboxPageSize);
}

void ScriptedWorker::OnReadable() {
  std::array<char, 65536> buffer = {};
  const ssize_t size = ::recv(channel_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN)
    return;
  if (size <= 0) {
    closed = true;
    watch_.reset();
    return;
  }
  in_.append(buffer.data(), static_cast<std::size_t>(size));
  std::string_view rest = in_;
  while (const auto frame = ParseFrame(rest).value())
    Take(*frame);
  in_.erase(0, in_.size() - rest.size());
}

void ScriptedWorker::Take(const Frame& frame) {
  WireReader reader(frame.payload);
  if (frame.type == FrameType::kShutdown)
    shutdown = true;
  if (frame.type == FrameType::kCallReply)
    replies.emplace_back(frame.id, std::string(frame.payload));
  if (frame.type == FrameType::kConfig) {
    config_part_ += frame.payload;
    if (!frame.Has(kFrameMore))
      configs.push_back(std::exchange(config_part_, {}));
  }
  if (frame.type == FrameType::kCredit)
    credit += reader.U32();
  if (frame.type == FrameType::kRequestBody) {
    const auto got = std::ranges::find(requests, frame.id, &Got::id);
    CHECK(got != requests.end());
    got->body += frame.payload;
    got->body_ended = frame.Has(kFrameEnd);
  }
  if (frame.type != FrameType::kRequest)
    return;
  const RequestHead head = RequestHead::Decode(reader).value();
  Got got{.id = frame.id,
          .slot = head.slot,
          .method = std::string(head.method),
          .target = std::string(head.target),
          .server_port = std::string(head.server_port),
          .request_id = std::string(head.request_id),
          .headers = {},
          .content_length = head.content_length,
          .wall_ms = head.wall_ms,
          .for_runtime = frame.Has(kFrameForRuntime),
          .body = std::string(reader.Rest()),
          .body_ended = frame.Has(kFrameInlineBody)};
  for (const WireHeader& header : head.headers)
    got.headers.emplace_back(header.name, header.value);
  requests.push_back(got);
  if (on_request)
    on_request(*this, got);
}

void ScriptedWorker::Ready() {
  Send({.type = FrameType::kReady, .flags = 0, .id = 0, .payload = {}});
}

void ScriptedWorker::FailBoot(const BootReport& report) {
  std::string payload;
  WireWriter writer(payload);
  report.Encode(writer);
  Send({.type = FrameType::kBootFailed, .flags = 0, .id = 0, .payload = payload});
}

bool ScriptedWorker::Claim(const Got& request) {
  return page->Claim(request.slot, request.id);
}

void ScriptedWorker::Answer(const Got& request, std::string_view body) {
  if (!Claim(request))
    return;
  const std::string length = std::to_string(body.size());
  SendHead(request.id,
           {.status = 200,
            .reason = "OK",
            .headers = {{.name = "Content-Type", .value = "text/plain"},
                        {.name = "Content-Length", .value = length}}},
           body, kFrameEnd);
}

void ScriptedWorker::SendHead(std::uint32_t id, const ResponseHead& head, std::string_view body,
                              std::uint8_t flags) {
  const std::uint8_t inline_flag = body.empty() ? 0 : kFrameInlineBody;
  const std::size_t begin =
      BeginFrame(out_, FrameType::kResponse, static_cast<std::uint8_t>(flags | inline_flag), id);
  WireWriter writer(out_);
  head.Encode(writer);
  writer.Raw(body);
  FinishFrame(out_, begin);
  Flush();
}

void ScriptedWorker::SendBody(std::uint32_t id, std::string_view body, std::uint8_t flags) {
  Send({.type = FrameType::kResponseBody, .flags = flags, .id = id, .payload = body});
}

void ScriptedWorker::SendU32(FrameType type, std::uint32_t id, std::uint32_t number) {
  std::string payload;
  WireWriter(payload).U32(number);
  Send({.type = type, .flags = 0, .id = id, .payload = payload});
}

void ScriptedWorker::SendLog(std::uint32_t id, std::string_view text, std::uint8_t flags) {
  std::string payload;
  WireWriter writer(payload);
  const LogHead head{.source = LogSource::kStdout, .level = 20, .logger = "app"};
  head.Encode(writer);
  writer.Raw(text);
  Send({.type = FrameType::kLog, .flags = flags, .id = id, .payload = payload});
}

void ScriptedWorker::SendCode(std::string_view path, std::string_view code, std::uint8_t flags) {
  std::string payload;
  WireWriter writer(payload);
  writer.Str16(path);
  writer.Raw(code);
  Send({.type = FrameType::kCode, .flags = flags, .id = 0, .payload = payload});
}

void ScriptedWorker::Send(const Frame& frame) {
  AppendFrame(out_, frame);
  Flush();
}

void ScriptedWorker::SendRaw(std::string_view bytes) {
  out_ += bytes;
  Flush();
}

void ScriptedWorker::OnWritable() {
  Flush();
}

void ScriptedWorker::Flush() {
  if (!channel_.valid() || watch_ == nullptr)
    return;
  const ssize_t sent =
      ::send(channel_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent > 0)
    out_.erase(0, static_cast<std::size_t>(sent));
  else if (sent < 0 && errno != EAGAIN)
    out_.clear();
  watch_->Watch(reading_, !out_.empty());
}

void ScriptedWorker::StopReading() {
  reading_ = false;
  watch_->Watch(reading_, !out_.empty());
}

void ScriptedWorker::Close() {
  watch_.reset();
  channel_.Reset();
}

}  // namespace cloister
