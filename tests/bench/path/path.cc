// The node's path of a request, front end to worker and back, without Python and without walls.
//
//   bench-path PORT     serves http://hello.demo.localhost:PORT/ until SIGTERM, then says what a
//                       request cost the node and the workers

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <utility>

#include "apis/wire/fd_socket.h"
#include "daemon/calls/call_server.h"
#include "daemon/http/server.h"
#include "daemon/loop/signals.h"
#include "daemon/router/router.h"
#include "daemon/workers/inbox.h"
#include "daemon/workers/node_supervisor.h"
#include "tests/bench/http/listen.h"
#include "tests/bench/path/trivial_worker.h"

namespace cloister {
namespace {

// Says yes to everything at once.
class BenchKeeper : public WorkerControl {
 public:
  explicit BenchKeeper(Loop& loop) : loop_(loop) {}
  void SetListener(Listener* listener) override { listener_ = listener; }
  void Place(const PlaceWorker& order) override {
    loop_.Post([this, id = WorkerId{order.worker_id}] {
      if (listener_ != nullptr)
        listener_->OnWorkerPlaced(id, {});
    });
  }
  void Kill(WorkerId worker) override { (void)::kill(static_cast<pid_t>(worker.number), SIGKILL); }
  void Interrupt(WorkerId /*worker*/) override {}
  void WantZygote() override {}

 private:
  Loop& loop_;
  Listener* listener_ = nullptr;
};

class NoLog : public LogSink {
 public:
  void Append(LogEvent /*event*/) override {}
};

// The image is handed over and never mapped.
class NoImages : public ImageSource {
 public:
  void LoadImage(ReleaseId /*release*/, Done done) override {
    done(std::make_shared<const UniqueFd>(Inbox::Create().value().TakeFd()));
  }
};

double CpuMicros(clockid_t clock) {
  timespec used = {};
  if (::clock_gettime(clock, &used) != 0)
    return 0;
  return static_cast<double>(used.tv_sec) * 1e6 + static_cast<double>(used.tv_nsec) / 1e3;
}

double WorkersCpuMicros(const Supervisor& supervisor) {
  double sum = 0;
  for (const WorkerInfo& worker : supervisor.List()) {
    clockid_t clock = 0;
    if (::clock_getcpuclockid(static_cast<pid_t>(worker.pid), &clock) == 0)
      sum += CpuMicros(clock);
  }
  return sum;
}

int Serve(int port, UniqueFd zygote) {
  Loop loop;
  const SystemClock clock;
  BenchKeeper keeper(loop);
  NoImages images;
  NoLog logs;
  CallServer calls(clock, logs);
  Supervisor supervisor({.loop = loop,
                         .clock = clock,
                         .control = keeper,
                         .images = images,
                         .logs = logs,
                         .calls = calls},
                        {});
  Router router("localhost", {.workers = supervisor, .logs = logs, .clock = clock});
  supervisor.SetRerouter(&router);
  supervisor.SetZygote(std::move(zygote));
  const ReleaseSpec spec{.app_id = AppId{1},
                         .app = AppName::Parse("demo/hello").value(),
                         .release = ReleaseId{1},
                         .version = "1.0.0",
                         .entry = "hello:application",
                         .limits = {},
                         .workers_min = 0,
                         .workers_max = 1,
                         .queue_max = 256};
  supervisor.Adopt(spec);
  router.Publish(
      std::make_shared<const RoutingSnapshot>(RoutingSnapshot{.app_id = spec.app_id,
                                                              .app = spec.app,
                                                              .live = spec.release,
                                                              .version = spec.version,
                                                              .requests_rate = 1000000}));
  HttpServer server(loop, clock, {}, router, nullptr);
  server.Listen(ListenOnLoopback(port));
  const SignalWatch stop(loop, SIGTERM, [&loop] { loop.Stop(); });
  const double before = CpuMicros(CLOCK_PROCESS_CPUTIME_ID);
  loop.Run();
  const auto requests = static_cast<double>(server.counters().requests);
  std::printf("RESULT path requests=%.0f node_cpu_us=%.2f worker_cpu_us=%.2f\n", requests,
              (CpuMicros(CLOCK_PROCESS_CPUTIME_ID) - before) / requests,
              WorkersCpuMicros(supervisor) / requests);
  return 0;
}

int Main(int port) {
  auto [ours, theirs] = MakeControlPair().value();
  const pid_t zygote = ::fork();
  CHECK(zygote >= 0);
  if (zygote == 0) {
    ours.Reset();
    RunTrivialZygote(std::move(theirs));
  }
  theirs.Reset();
  const int status = Serve(port, std::move(ours));
  (void)::waitpid(zygote, nullptr, 0);
  return status;
}

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: bench-path PORT\n", stderr);
    return 2;
  }
  return cloister::Main(std::atoi(argv[1]));
}
