// cloister-zygote: warms the interpreter, then makes workers. Started by cloisterd only, with its
// control socket at descriptor 3, the children's lock at 4 and the keeper's pidfd at 5.

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <utility>

#include "apis/base/clock.h"
#include "apis/base/log.h"
#include "apis/base/program.h"
#include "apis/base/result.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/messages.h"
#include "sandbox/image/platform.h"
#include "sandbox/steps/seccomp.h"
#include "sandbox/worker/worker.h"
#include "sandbox/zygote/title.h"
#include "sandbox/zygote/zygote.h"

namespace cloister {
namespace {

constexpr int kControlFd = 3;
constexpr int kKeeperPidfd = 5;

Result<void> Run() {
  UniqueFd keeper(kControlFd);
  const Received first = TRY(ReceivePacket(keeper.get()));
  const ZygoteStart start = TRY(DecodeMessage<ZygoteStart>(first.packet.bytes));
  const SystemClock clock;
  const MonotonicTime began = clock.Now();
  SeccompProgram policy = TRY(BuildPolicy());
  const std::string platform_image = TRY(PlatformImagePath());
  TRY(WarmInterpreter(platform_image));
  const Micros warm = clock.Now() - began;
  TRY(SendPacket(keeper.get(),
                 EncodeMessage(ZygoteReady{.start_us = static_cast<std::uint64_t>(warm.count()),
                                           .python = InterpreterVersion()})));
  const std::string directory = TRY(ProgramDirectory());
  return Zygote(std::move(keeper), kKeeperPidfd, start, std::move(policy),
                directory + "/cloister-query")
      .Serve();
}

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  cloister::RememberTitleArea(argc, argv);
  cloister::OpenLog("cloister-zygote", cloister::LogLevel::kInfo);
  (void)::signal(SIGPIPE, SIG_IGN);
  const cloister::Result<void> ran = cloister::Run();
  if (ran.ok())
    return 0;
  // Also what somebody sees who starts it by hand.
  cloister::Log(cloister::LogLevel::kError, "zygote_failed",
                {{"error", ran.error().message}, {"started_by", "cloisterd only"}});
  return 1;
}
