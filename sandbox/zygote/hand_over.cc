#include "sandbox/zygote/hand_over.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace cloister {
namespace {

constexpr std::size_t kFdsWithoutQuery = 3;
constexpr std::size_t kFdsWithQuery = 4;

Result<void> CheckSocket(int fd, int wanted, const char* name) {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != wanted)
    return Error{ErrorCode::kInvalidArgument,
                 std::string(name) + " is not the socket it should be"};
  return {};
}

Result<void> CheckJob(std::uint32_t job) {
  if (job != static_cast<std::uint32_t>(WorkerJob::kServe) &&
      job != static_cast<std::uint32_t>(WorkerJob::kCompile))
    return Error{ErrorCode::kProtocol, "unknown job " + std::to_string(job)};
  return {};
}

}  // namespace

Result<InboxPage*> MapInbox(int fd) {
  constexpr int kNeeded = F_SEAL_SHRINK | F_SEAL_GROW;
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0)
    return SystemError("the inbox is not a memory file");
  if ((seals & kNeeded) != kNeeded)
    return Error{ErrorCode::kInvalidArgument, "the inbox is not sealed against resizing"};
  struct stat status = {};
  if (::fstat(fd, &status) != 0)
    return SystemError("stat of the inbox");
  if (status.st_size != static_cast<off_t>(kInboxPageSize))
    return Error{ErrorCode::kInvalidArgument,
                 "the inbox has " + std::to_string(status.st_size) + " bytes"};
  void* page = ::mmap(nullptr, kInboxPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED)
    return SystemError("mapping the inbox");
  return static_cast<InboxPage*>(page);
}

Result<TakenOver> TakeOver(Packet packet, std::uint64_t worker_id) {
  HandOver message = TRY(DecodeMessage<HandOver>(packet.bytes));
  std::vector<UniqueFd>& fds = packet.fds;
  if (message.worker_id != worker_id)
    return Error{ErrorCode::kProtocol, "meant for another worker"};
  if (fds.size() != kFdsWithoutQuery && fds.size() != kFdsWithQuery)
    return Error{ErrorCode::kProtocol, std::to_string(fds.size()) + " descriptors"};
  TRY(CheckJob(message.job));
  TRY(CheckSocket(fds[2].get(), SOCK_STREAM, "the channel"));
  if (fds.size() == kFdsWithQuery)
    TRY(CheckSocket(fds[3].get(), SOCK_SEQPACKET, "the query end"));
  Image image = TRY(Image::Open(fds[0].get(), Image::NeedSeals::kYes));
  InboxPage* inbox = TRY(MapInbox(fds[1].get()));
  TakenOver taken{.context = {.job = static_cast<WorkerJob>(message.job),
                              .app = std::move(message.app),
                              .version = std::move(message.version),
                              .entry = std::move(message.entry),
                              .image = std::move(image),
                              .inbox = inbox,
                              .environment = std::move(message.environment),
                              .module_rules = std::move(message.module_rules),
                              .memory_max = Bytes{message.memory_max_bytes}},
                  .limits = {.memory_max = Bytes{message.memory_max_bytes},
                             .address_space_max = Bytes{message.address_space_max_bytes},
                             .threads_max = message.threads_max},
                  .channel = std::move(fds[2]),
                  .query = fds.size() == kFdsWithQuery ? std::move(fds[3]) : UniqueFd{}};
  return taken;
}

Result<void> PlaceChannels(UniqueFd channel, UniqueFd query) {
  // Out of the way first: either may lie where the other belongs.
  const UniqueFd high_channel(::fcntl(channel.get(), F_DUPFD_CLOEXEC, kQueryFd + 1));
  const UniqueFd high_query(query.valid() ? ::fcntl(query.get(), F_DUPFD_CLOEXEC, kQueryFd + 1)
                                          : -1);
  channel.Reset();
  if (!high_channel.valid() || high_query.valid() != query.valid())
    return SystemError("placing the channels");
  query.Reset();
  if (::dup2(high_channel.get(), kChannelFd) != kChannelFd)
    return SystemError("placing the channel");
  if (!high_query.valid())
    ::close(kQueryFd);
  else if (::dup2(high_query.get(), kQueryFd) != kQueryFd)
    return SystemError("placing the query end");
  return {};
}

}  // namespace cloister
