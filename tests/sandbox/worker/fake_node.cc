#include "tests/sandbox/worker/fake_node.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "apis/base/check.h"
#include "apis/wire/codec.h"
#include "apis/wire/config_values.h"
#include "sandbox/worker/worker.h"

namespace cloister::testing {
namespace {

constexpr const char* kDistPackages = "/usr/lib/python3/dist-packages/";

// Once in the process: it is the zygote of these tests.
void WarmOnce() {
  static const bool kWarm = [] {
    const Result<void> warmed = WarmInterpreter(CLOISTER_PLATFORM_IMAGE);
    if (!warmed.ok())
      std::cerr << warmed.error().message << "\n";
    return warmed.ok();
  }();
  CHECK(kWarm);
}

UniqueFd BuildImage(const Files& files, const std::map<std::string, std::string>& code) {
  ImageBuilder builder;
  for (const auto& [path, contents] : files) {
    const auto found = code.find(path);
    builder.Add(path, contents, found == code.end() ? std::string() : found->second);
  }
  Result<UniqueFd> image = builder.BuildMemfd("test-image");
  CHECK(image.ok());
  return std::move(image).value();
}

InboxPage* MapInbox() {
  void* page =
      ::mmap(nullptr, kInboxPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  return static_cast<InboxPage*>(page);
}

[[noreturn]] void RunChild(int channel, const UniqueFd& image, InboxPage* inbox,
                           const StartOptions& options) {
  AfterForkChild();
  if (options.rehearses)
    RehearseBoot();
  Result<Image> opened = Image::Open(image.get(), Image::NeedSeals::kYes);
  CHECK(opened.ok());
  // Descriptor 3 may be the image's until here.
  if (channel != kChannelFd)
    ::dup2(channel, kChannelFd);
  // The node's end too: the worker must see when the test closes it.
  ::close_range(kChannelFd + 1, ~0U, 0);
  RunWorker({.job = options.job,
             .app = "demo/hello",
             .version = "1.2.0",
             .entry = options.entry,
             .image = std::move(opened).value(),
             .inbox = inbox,
             .environment = options.environment,
             .module_rules = options.module_rules,
             .memory_max = options.memory_max});
}

}  // namespace

void AddFromDisk(Files& files, const std::string& path, const std::string& as) {
  namespace fs = std::filesystem;
  const auto add = [&](const fs::path& file, const std::string& name) {
    std::ifstream in(file, std::ios::binary);
    files[name] = std::string(std::istreambuf_iterator<char>(in), {});
  };
  if (!fs::is_directory(path)) {
    CHECK(fs::exists(path));
    add(path, as);
    return;
  }
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path)) {
    const std::string relative = fs::relative(entry.path(), path).string();
    const bool is_wanted = entry.is_regular_file() && entry.path().extension() != ".so" &&
                           relative.find("__pycache__") == std::string::npos;
    if (is_wanted)
      add(entry.path(), as + "/" + relative);
  }
}

void AddPackages(Files& files, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    AddFromDisk(files, std::string(kDistPackages).append(name), "site-packages/" + name);
}

FakeNode::FakeNode(const Files& files, const StartOptions& options) : inbox_(MapInbox()) {
  WarmOnce();
  const UniqueFd image = BuildImage(files, options.code);
  int ends[2] = {-1, -1};
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  channel_.Reset(ends[0]);
  const UniqueFd worker_end(ends[1]);
  (void)::fflush(nullptr);
  BeforeFork();
  pid_ = ::fork();
  CHECK(pid_ >= 0);
  if (pid_ == 0)
    RunChild(worker_end.get(), image, inbox_, options);
  AfterForkParent();
  if (options.job == WorkerJob::kServe)
    SendConfig(options.config, options.secrets);
}

void FakeNode::SendConfig(const std::map<std::string, std::string>& config,
                          const std::set<std::string>& secrets) {
  std::vector<ConfigValue> values;
  for (const auto& [name, value] : config)
    values.push_back({.name = name, .value = value, .secret = secrets.contains(name)});
  std::string payload;
  EncodeConfig(payload, values);
  std::string frames;
  AppendConfigFrames(frames, payload);
  SendBytes(frames);
}

FakeNode::~FakeNode() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::munmap(inbox_, kInboxPageSize);
}

void FakeNode::SendBytes(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(channel_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    CHECK(count > 0);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void FakeNode::SendFrame(const Frame& frame) {
  std::string bytes;
  AppendFrame(bytes, frame);
  SendBytes(bytes);
}

void FakeNode::SendPart(std::string& frames, const TestRequest& request, std::uint32_t id) {
  const bool is_inline = !request.body.empty() && request.body.size() <= kInlineBodyMax &&
                         !request.split_body && !request.unknown_length;
  RequestHead head;
  head.slot = static_cast<std::uint8_t>(next_slot_++ % kInboxSlots);
  head.wall_ms = request.wall_ms;
  head.content_length = request.unknown_length ? kUnknownLength : request.body.size();
  head.method = request.method;
  head.target = request.target;
  head.scheme = "http";
  head.server_name = "hello.demo.localhost";
  head.server_port = "8080";
  head.remote_addr = "127.0.0.1";
  head.remote_port = "40000";
  const std::string request_id = "req-" + std::to_string(id);
  head.request_id = request_id;
  for (const auto& [name, value] : request.headers)
    head.headers.push_back({.name = name, .value = value});
  const std::string length = std::to_string(request.body.size());
  if (!request.body.empty() && request.with_length && !request.unknown_length)
    head.headers.push_back({.name = "content-length", .value = length});
  inbox_->Offer(head.slot, id);
  const int flags =
      (is_inline ? kFrameInlineBody : 0) | (request.for_runtime ? kFrameForRuntime : 0);
  const std::size_t begin =
      BeginFrame(frames, FrameType::kRequest, static_cast<std::uint8_t>(flags), id);
  WireWriter writer(frames);
  head.Encode(writer);
  if (is_inline)
    writer.Raw(request.body);
  FinishFrame(frames, begin);
  responses_[id] = {};
}

std::vector<std::uint32_t> FakeNode::SendTogether(const std::vector<TestRequest>& requests) {
  std::vector<std::uint32_t> ids;
  std::string frames;
  for (const TestRequest& request : requests) {
    ids.push_back(next_id_);
    SendPart(frames, request, next_id_);
    next_id_ += 2;
  }
  SendBytes(frames);
  return ids;
}

std::uint32_t FakeNode::Send(const TestRequest& request) {
  const std::uint32_t id = next_id_;
  next_id_ += 2;
  std::string frames;
  SendPart(frames, request, id);
  SendBytes(frames);
  const bool in_frames =
      request.split_body || request.unknown_length || request.body.size() > kInlineBodyMax;
  if (!in_frames || request.body_comes_later)
    return id;
  const std::uint64_t credit_before = body_credit_;
  std::string_view rest = request.body;
  std::size_t sent = 0;
  do {
    const std::string_view piece = rest.substr(0, request.split_body ? 7 : kFramePayloadMax);
    if (!PumpUntil(
            [&] { return sent + piece.size() <= kRequestWindow + body_credit_ - credit_before; }))
      return id;
    rest.remove_prefix(piece.size());
    sent += piece.size();
    SendFrame({.type = FrameType::kRequestBody,
               .flags = rest.empty() ? kFrameEnd : std::uint8_t{0},
               .id = id,
               .payload = piece});
  } while (!rest.empty());
  return id;
}

bool FakeNode::Pump() {
  if (!channel_.valid())
    return false;
  pollfd wait = {.fd = channel_.get(), .events = POLLIN, .revents = 0};
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience).count();
  if (::poll(&wait, 1, static_cast<int>(patience)) != 1)
    return false;
  char buffer[65536];
  const ssize_t count = ::read(channel_.get(), buffer, sizeof buffer);
  if (count <= 0)
    return false;
  received_.append(buffer, static_cast<std::size_t>(count));
  std::string_view bytes = received_;
  while (true) {
    const Result<std::optional<Frame>> frame = ParseFrame(bytes);
    CHECK(frame.ok());
    const std::optional<Frame>& whole = frame.value();
    if (!whole)
      break;
    Handle(*whole);
  }
  received_.erase(0, received_.size() - bytes.size());
  return true;
}

void FakeNode::HandleLog(const Frame& frame) {
  WireReader reader(frame.payload);
  const Result<LogHead> head = LogHead::Decode(reader);
  CHECK(head.ok());
  if (!log_goes_on_)
    logs_.push_back({.id = frame.id,
                     .source = head.value().source,
                     .level = head.value().level,
                     .logger = std::string(head.value().logger),
                     .bytes = {},
                     .fields = std::string(head.value().fields)});
  logs_.back().bytes += reader.Rest();
  log_goes_on_ = frame.Has(kFrameMore);
}

void FakeNode::HandleResponse(const Frame& frame) {
  CHECK(responses_.contains(frame.id));
  ReceivedResponse& response = responses_[frame.id];
  CHECK(!response.ended && !response.aborted);
  ++response.frames;
  WireReader reader(frame.payload);
  if (frame.type == FrameType::kResponseAbort) {
    response.aborted = true;
    response.abort_reason = reader.Str32();
    return;
  }
  if (frame.type == FrameType::kResponse) {
    CHECK(response.status == 0);
    const Result<ResponseHead> head = ResponseHead::Decode(reader);
    CHECK(head.ok());
    response.status = head.value().status;
    response.reason = head.value().reason;
    for (const WireHeader& header : head.value().headers)
      response.headers.emplace_back(header.name, header.value);
  }
  const std::string_view bytes = reader.Rest();
  CHECK(frame.type == FrameType::kResponseBody || bytes.empty() || frame.Has(kFrameInlineBody));
  response.body += bytes;
  response.ended = frame.Has(kFrameEnd);
  if (gives_credit_ && !bytes.empty() && !response.ended) {
    std::string credit;
    WireWriter(credit).U32(static_cast<std::uint32_t>(bytes.size()));
    SendFrame({.type = FrameType::kCredit, .flags = 0, .id = frame.id, .payload = credit});
  }
}

void FakeNode::Reply(std::uint32_t call, std::string_view reply) {
  do {
    const std::string_view piece = reply.substr(0, kFramePayloadMax);
    reply.remove_prefix(piece.size());
    SendFrame({.type = FrameType::kCallReply,
               .flags = reply.empty() ? std::uint8_t{0} : kFrameMore,
               .id = call,
               .payload = piece});
  } while (!reply.empty());
}

void FakeNode::HandleReport(const Frame& frame) {
  WireReader reader(frame.payload);
  const Result<BootReport> report = BootReport::Decode(reader);
  CHECK(report.ok());
  const BootReport& value = report.value();
  report_ = {.code = std::string(value.code),
             .message = std::string(value.message),
             .file = std::string(value.file),
             .line = value.line,
             .traceback = std::string(value.traceback)};
}

void FakeNode::Handle(const Frame& frame) {
  WireReader reader(frame.payload);
  switch (frame.type) {
    case FrameType::kReady:
      boot_us_ = reader.U64();
      ready_ = true;
      break;
    case FrameType::kBootFailed:
      HandleReport(frame);
      break;
    case FrameType::kLog:
      HandleLog(frame);
      break;
    case FrameType::kCode: {
      const std::string path(reader.Str16());
      code_[path] += reader.Rest();
      break;
    }
    case FrameType::kRefused: {
      const std::string name(reader.Str16());
      refused_[name] += reader.U32();
      break;
    }
    case FrameType::kCall:
      call_ += frame.payload;
      if (frame.Has(kFrameMore))
        break;
      calls_.emplace_back(frame.id, std::exchange(call_, {}));
      if (on_call)
        on_call(frame.id, calls_.back().second);
      break;
    case FrameType::kBodyCredit:
      body_credit_ += reader.U32();
      break;
    default:
      HandleResponse(frame);
  }
}

bool FakeNode::WaitReady() {
  PumpUntil([this] { return ready_ || report_.has_value(); });
  return ready_;
}

ReceivedResponse FakeNode::WaitResponse(std::uint32_t id) {
  PumpUntil([&] { return responses_[id].ended || responses_[id].aborted; });
  return responses_[id];
}

void FakeNode::Signal(int number) const {
  CHECK(::kill(pid_, number) == 0);
}

void FakeNode::Interrupt() const {
  constexpr int kAgainAfter = 100;
  pollfd said = {.fd = channel_.get(), .events = POLLIN, .revents = 0};
  do
    Signal(SIGXCPU);
  while (::poll(&said, 1, kAgainAfter) == 0);
}

int FakeNode::WaitExit() {
  while (Pump()) {
  }
  int status = 0;
  CHECK(::waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
  return status;
}

std::string FakeNode::LogText() const {
  std::string text;
  for (const ReceivedLog& log : logs_)
    text += log.bytes;
  return text;
}

std::map<std::string, std::string> CompileFiles(const Files& files) {
  FakeNode node(files, {.job = WorkerJob::kCompile});
  return node.WaitReady() ? node.code() : std::map<std::string, std::string>{};
}

std::unique_ptr<FakeNode> Serve(const Files& files, const StartOptions& options) {
  auto node = std::make_unique<FakeNode>(files, options);
  const bool ready = node->WaitReady();
  if (const std::optional<ReceivedReport>& report = node->report(); !ready && report)
    std::cerr << report->message << "\n" << report->traceback << "\n";
  CHECK(ready);
  return node;
}

std::unique_ptr<FakeNode> Serve(const std::string& hello_source) {
  return Serve(Files{{"hello.py", hello_source}});
}

}  // namespace cloister::testing
