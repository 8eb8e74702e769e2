#include "tests/bench/path/trivial_worker.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <utility>

#include "apis/base/check.h"
#include "apis/wire/channel.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/frame.h"
#include "apis/wire/messages.h"

namespace cloister {
namespace {

void SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::write(fd, bytes.data(), bytes.size());
    if (sent <= 0)
      ::_exit(0);
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Answer(const Frame& frame, InboxPage& page, int channel, std::string& out) {
  if (frame.type == FrameType::kShutdown)
    ::_exit(0);
  if (frame.type != FrameType::kRequest)
    return;
  WireReader reader(frame.payload);
  const Result<RequestHead> head = RequestHead::Decode(reader);
  CHECK(head.ok());
  if (!page.Claim(head.value().slot, frame.id))
    return;
  out.clear();
  const std::size_t begin =
      BeginFrame(out, FrameType::kResponse, kFrameInlineBody | kFrameEnd, frame.id);
  ResponseHead response{.status = 200, .reason = "OK", .headers = {}};
  response.headers.push_back({.name = "Content-Type", .value = "text/plain; charset=utf-8"});
  response.headers.push_back({.name = "Content-Length", .value = "12"});
  WireWriter writer(out);
  response.Encode(writer);
  writer.Raw("Hello, world");
  FinishFrame(out, begin);
  SendAll(channel, out);
}

[[noreturn]] void RunTrivialWorker(UniqueFd control) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Result<Received> received = ReceivePacket(control.get());
  if (!received.ok() || received.value().state != ReceiveState::kPacket)
    ::_exit(0);
  const std::vector<UniqueFd>& fds = received.value().packet.fds;
  CHECK(fds.size() == 4);
  void* const memory =
      ::mmap(nullptr, kInboxPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1].get(), 0);
  CHECK(memory != MAP_FAILED);
  auto& page = *static_cast<InboxPage*>(memory);
  const int channel = fds[2].get();
  control.Reset();
  std::string out;
  AppendFrame(out, {.type = FrameType::kReady, .flags = 0, .id = 0, .payload = {}});
  SendAll(channel, out);
  std::string in;
  std::array<char, 65536> buffer = {};
  while (true) {
    const ssize_t size = ::read(channel, buffer.data(), buffer.size());
    if (size <= 0)
      ::_exit(0);
    in.append(buffer.data(), static_cast<std::size_t>(size));
    std::string_view rest = in;
    while (const auto frame = ParseFrame(rest).value())
      Answer(*frame, page, channel, out);
    in.erase(0, in.size() - rest.size());
  }
}

}  // namespace

void RunTrivialZygote(UniqueFd socket) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)std::signal(SIGCHLD, SIG_IGN);
  while (true) {
    const Result<Received> received = ReceivePacket(socket.get());
    if (!received.ok() || received.value().state != ReceiveState::kPacket)
      ::_exit(0);
    const auto wanted = DecodeMessage<BlankWanted>(received.value().packet.bytes);
    CHECK(wanted.ok());
    for (std::uint32_t i = 0; i < wanted.value().count; ++i) {
      auto [ours, theirs] = MakeControlPair().value();
      const pid_t child = ::fork();
      CHECK(child >= 0);
      if (child == 0) {
        ours.Reset();
        socket.Reset();
        RunTrivialWorker(std::move(theirs));
      }
      const auto pid = static_cast<std::uint32_t>(child);
      CHECK(SendPacket(socket.get(), EncodeMessage(BlankReady{.worker_id = pid, .pid = pid}),
                       {ours.get()})
                .ok());
    }
  }
}

}  // namespace cloister
