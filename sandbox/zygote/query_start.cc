#include "sandbox/zygote/query_start.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "apis/wire/messages.h"
#include "sandbox/confine.h"

namespace cloister {
namespace {

// Channel, control, and one or two databases of three files each; or a login and sockets.
constexpr std::size_t kFdsOne = 5;
constexpr std::size_t kFdsTwo = 8;
constexpr std::size_t kFdsOfServerMin = 5;
constexpr std::size_t kFdsOfServerMax = 32;
constexpr std::size_t kFirstFile = 2;
// Descriptors are first moved above this, so that placing one never overwrites another.
constexpr int kPlacedMax = 64;

// What the program's name ends with; null: it is none.
const char* SuffixOf(const HandOver& orders) {
  switch (WorkerJob{orders.job}) {
    case WorkerJob::kQuery:
      return "";
    case WorkerJob::kQueryPostgresql:
      return "-postgresql";
    case WorkerJob::kQueryMariadb:
      return "-mariadb";
    default:
      return nullptr;
  }
}

bool IsServer(const HandOver& orders) {
  return orders.job != static_cast<std::uint32_t>(WorkerJob::kQuery);
}

Result<HandOver> Check(const Packet& packet, std::uint64_t worker_id) {
  HandOver orders = TRY(DecodeMessage<HandOver>(packet.bytes));
  if (orders.worker_id != worker_id)
    return Error{ErrorCode::kProtocol, "meant for another worker"};
  const std::size_t count = packet.fds.size();
  if (IsServer(orders) ? count < kFdsOfServerMin || count > kFdsOfServerMax
                       : count != kFdsOne && count != kFdsTwo)
    return Error{ErrorCode::kProtocol, std::to_string(packet.fds.size()) + " descriptors"};
  return orders;
}

Result<void> Place(const std::vector<UniqueFd>& fds, int& control_fd) {
  std::vector<UniqueFd> high;
  high.reserve(fds.size());
  for (const UniqueFd& fd : fds)
    high.emplace_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kPlacedMax));
  // It must outlive a program that does not start, and nothing else.
  control_fd = ::fcntl(control_fd, F_DUPFD_CLOEXEC, kPlacedMax);
  int number = kChannelFd;
  for (const UniqueFd& fd : high)
    if (!fd.valid() || ::dup2(fd.get(), number++) < 0)
      return SystemError("placing descriptors");
  if (control_fd < 0 || ::close_range(static_cast<unsigned>(number), kPlacedMax - 1, 0) != 0)
    return SystemError("placing descriptors");
  return {};
}

}  // namespace

bool IsForQuery(const Packet& packet) {
  const Result<HandOver> orders = DecodeMessage<HandOver>(packet.bytes);
  return orders.ok() && SuffixOf(orders.value()) != nullptr;
}

Error BecomeQuery(const Packet& packet, QueryStart& start) {
  const Result<HandOver> orders = Check(packet, start.worker_id);
  if (!orders.ok())
    return orders.error();
  const Result<void> placed = Place(packet.fds, start.control_fd);
  if (!placed.ok())
    return placed.error();
  std::string title = "cloister-query: " + orders.value().app;
  std::string memory = std::to_string(orders.value().memory_max_bytes);
  std::string files = std::to_string(packet.fds.size() - kFirstFile);
  std::string landlock = std::to_string(start.landlock_abi);
  const std::array<char*, 5> arguments = {title.data(), memory.data(), files.data(),
                                          landlock.data(), nullptr};
  const std::array<char*, 1> environment = {nullptr};
  const std::string program = std::string(start.program) + SuffixOf(orders.value());
  (void)::execve(program.c_str(), arguments.data(), environment.data());
  return SystemError(program);
}

}  // namespace cloister
