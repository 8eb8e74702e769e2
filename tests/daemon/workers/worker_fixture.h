#pragma once

// What tests of workers stand on: a loop, fakes for keeper and zygote, the tenant's log.

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/check.h"
#include "daemon/calls/call_server.h"
#include "daemon/workers/worker.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/fake_processes.h"
#include "tests/support/run_loop.h"

namespace cloister {

class LogCollector : public LogSink {
 public:
  void Append(LogEvent event) override { events.push_back(std::move(event)); }
  // How many events contain the text.
  std::size_t Count(std::string_view text) const {
    return static_cast<std::size_t>(std::ranges::count_if(events, [text](const LogEvent& event) {
      return event.bytes.find(text) != std::string::npos;
    }));
  }

  std::vector<LogEvent> events;
};

inline std::shared_ptr<const UniqueFd> SomeImage() {
  return std::make_shared<const UniqueFd>(Inbox::Create().value().TakeFd());
}

inline ReleaseSpec SomeRelease(std::uint64_t number = 7) {
  ReleaseSpec spec{.app_id = AppId{3},
                   .app = AppName::Parse("demo/hello").value(),
                   .release = ReleaseId{number},
                   .version = "1.2.0",
                   .entry = "hello:application",
                   .limits = {},
                   .workers_min = 0,
                   .workers_max = 4,
                   .queue_max = 16};
  return spec;
}

// Loop, fakes and everything that workers share.
class WorkerGround : private WorkerControl::Listener {
 public:
  explicit WorkerGround(WorkerOptions options = {})
      : spawner(loop, processes,
                {.blanks = 1, .timeout = Millis(10000), .retry_after = Millis(50)}),
        env{.loop = loop,
            .clock = clock,
            .control = processes,
            .spawner = spawner,
            .logs = logs,
            .calls = calls,
            .processes = table,
            .options = options} {
    processes.SetListener(this);
    spawner.SetZygote(processes.NewZygote());
  }
  WorkerGround(const WorkerGround&) = delete;
  WorkerGround& operator=(const WorkerGround&) = delete;
  ~WorkerGround() override { processes.SetListener(nullptr); }

  bool Until(const std::function<bool()>& condition) { return RunUntil(loop, condition); }

  Loop loop;
  SystemClock clock;
  FakeProcesses processes{loop};
  LogCollector logs;
  CallServer calls{clock, logs};
  Spawner spawner;
  ProcessTable table;
  WorkerEnv env;

 private:
  void OnWorkerPlaced(WorkerId worker, std::string_view error) override {
    spawner.OnWorkerPlaced(worker, error);
  }
  void OnWorkerExited(WorkerId worker, std::uint32_t status, Micros /*cpu*/) override {
    const auto found = table.find(worker);
    if (found != table.end())
      found->second->OnExited(status);
    else
      spawner.OnWorkerExited(worker, status);
  }
};

// A pool that only writes down what its worker says.
class RecordingHost : public Worker::Host {
 public:
  void OnWorkerReady(Worker& /*worker*/) override { ready = true; }
  void OnWorkerBootFailed(Worker& /*worker*/, BootFailure failure) override {
    boot_failures.push_back(std::move(failure));
  }
  void OnWorkerRoom(Worker& /*worker*/) override { ++rooms; }
  void OnRequestDone(WorkerRequest& request) override { done.push_back(&request); }
  void OnRequestReturned(WorkerRequest& request, bool died) override {
    (died ? returned_by_death : returned).push_back(&request);
  }
  void OnWorkerDead(Worker& /*worker*/, bool crashed) override {
    dead = true;
    dead_by_crash = crashed;
  }
  void OnWorkerGone(Worker& /*worker*/) override { gone = true; }

  bool ready = false;
  std::vector<BootFailure> boot_failures;
  int rooms = 0;
  std::vector<WorkerRequest*> done;
  std::vector<WorkerRequest*> returned;
  std::vector<WorkerRequest*> returned_by_death;
  bool dead = false;
  bool dead_by_crash = false;
  bool gone = false;
};

// Nothing is withdrawn for want of speed: for tests of other things, on machines of any speed.
inline WorkerOptions Patient() {
  return {.withdraw_after = Seconds(100), .stall_after = Seconds(100)};
}

// A worker with its host, up to ready.
class WorkerBench {
 public:
  explicit WorkerBench(WorkerOptions options = Patient(), ReleaseSpec release = SomeRelease())
      : ground(options), spec(std::move(release)), worker(ground.env, spec, host) {}

  // The worker's end, when it is ready.
  ScriptedWorker& Boot() {
    worker.Start(SomeImage());
    CHECK(ground.Until([this] { return host.ready; }));
    return *ground.processes.workers.back();
  }
  // Lets the worker believe that it is fast, so that it takes more than one request.
  void BecomeFast(ScriptedWorker& script) {
    WorkerRequest request;
    FakeExchange exchange;
    script.on_request = [](ScriptedWorker& self, const ScriptedWorker::Got& got) {
      self.Answer(got);
    };
    const auto idle = [this] { return IsIdle(); };
    while (worker.room() < kInboxSlots) {
      exchange.finished = false;
      Send(request, exchange);
      CHECK(ground.Until(idle));
    }
    script.on_request = nullptr;
    script.requests.clear();
    host.done.clear();
  }
  void Send(WorkerRequest& request, Exchange& exchange) {
    request.exchange = &exchange;
    exchange.SetListener(&request);
    worker.Send(request);
  }
  bool IsIdle() const { return worker.in_flight() == 0; }
  bool Until(const std::function<bool()>& condition) { return ground.Until(condition); }
  // The first request that the worker gets, which it claims.
  bool SendClaimed(ScriptedWorker& script, WorkerRequest& request, Exchange& exchange) {
    Send(request, exchange);
    return Until([&] { return script.requests.size() == 1; }) &&
           script.Claim(script.requests.front());
  }

  WorkerGround ground;
  RecordingHost host;
  ReleaseSpec spec;
  Worker worker;
};

}  // namespace cloister
