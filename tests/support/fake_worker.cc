#include "tests/support/fake_worker.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <utility>

#include "apis/wire/fd_socket.h"
#include "apis/wire/frame.h"
#include "apis/wire/messages.h"
#include "sandbox/image/image.h"
#include "sandbox/limits.h"

namespace cloister {
namespace {

Result<UniqueFd> MakeInbox() {
  UniqueFd inbox(::memfd_create("inbox", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!inbox.valid() || ::ftruncate(inbox.get(), kInboxPageSize) != 0 ||
      ::fcntl(inbox.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
    return SystemError("making the inbox");
  return inbox;
}

Error Dead() {
  return {ErrorCode::kUnavailable, "the worker is gone"};
}

// Reads until one frame is there; its type and payload.
Result<std::pair<FrameType, std::string>> ReadFrame(int fd) {
  std::string bytes;
  std::array<char, 4096> part = {};
  for (;;) {
    std::string_view rest = bytes;
    const std::optional<Frame> frame = TRY(ParseFrame(rest));
    if (frame)
      return std::pair(frame->type, std::string(frame->payload));
    const ssize_t size = ::read(fd, part.data(), part.size());
    if (size <= 0)
      return Dead();
    bytes.append(part.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace

Result<FakeWorker> FakeWorker::HandOverTo(FakeBlank blank) {
  ImageBuilder builder;
  builder.Add("app.py", "application = None\n", "");
  const UniqueFd image = TRY(builder.BuildMemfd("app"));
  const UniqueFd inbox = TRY(MakeInbox());
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return SystemError("socketpair");
  FakeWorker worker;
  worker.id_ = blank.id;
  worker.pid_ = blank.pid;
  worker.channel_.Reset(ends[0]);
  const UniqueFd far_end(ends[1]);
  worker.inbox_ = static_cast<InboxPage*>(
      ::mmap(nullptr, kInboxPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, inbox.get(), 0));
  const WorkerLimits limits;
  TRY(SendPacket(blank.control.get(),
                 EncodeMessage(HandOver{.worker_id = blank.id,
                                        .job = static_cast<std::uint32_t>(WorkerJob::kServe),
                                        .app = "test/fake",
                                        .version = "1.0.0",
                                        .entry = "app:application",
                                        .memory_max_bytes = limits.memory_max.count,
                                        .address_space_max_bytes = limits.address_space_max.count,
                                        .threads_max = limits.threads_max,
                                        .environment = {}}),
                 {image.get(), inbox.get(), far_end.get()}));
  return worker;
}

Result<std::string> FakeWorker::Ask() {
  if (next_request_ == 1) {
    const auto [type, payload] = TRY(ReadFrame(channel_.get()));
    if (type == FrameType::kBootFailed)
      return Error{ErrorCode::kUnavailable, "boot failed: " + payload};
  }
  const std::uint32_t id = next_request_;
  next_request_ += 2;
  inbox_->Offer(0, id);
  std::string bytes;
  const std::size_t begin = BeginFrame(bytes, FrameType::kRequest, kFrameInlineBody, id);
  WireWriter writer(bytes);
  RequestHead head;
  head.method = "GET";
  head.target = "/";
  head.Encode(writer);
  FinishFrame(bytes, begin);
  if (::send(channel_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size()))
    return Dead();
  const auto [type, payload] = TRY(ReadFrame(channel_.get()));
  WireReader reader(payload);
  if (type != FrameType::kResponse || !ResponseHead::Decode(reader).ok())
    return Error{ErrorCode::kProtocol, "no response"};
  return std::string(reader.Rest());
}

}  // namespace cloister
