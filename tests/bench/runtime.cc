// What a hello request costs inside a worker: the real runtime, without walls, on a socket pair.
//
// Beside it a process that only reads frames, claims and writes one fixed answer each: the cost of
// the system calls. The difference is the WSGI work: environ, the call, the answer's frame. Both
// sides run interleaved, with eight requests in the worker and with one; CPU is that of the worker
// process as the kernel counts it. Also: from fork to ready, and private memory.

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/check.h"
#include "apis/wire/channel.h"
#include "apis/wire/frame.h"
#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

constexpr const char* kHello = R"(
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello plain\n']
)";

double CpuMicros(pid_t pid) {
  clockid_t clock = 0;
  CHECK(::clock_getcpuclockid(pid, &clock) == 0);
  timespec time = {};
  CHECK(::clock_gettime(clock, &time) == 0);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

// A head as a browser makes it.
void AppendRequest(std::string& out, InboxPage& inbox, std::uint32_t id) {
  RequestHead head{.slot = static_cast<std::uint8_t>((id / 2) % kInboxSlots),
                   .http_minor = 1,
                   .wall_ms = 30000,
                   .content_length = 0,
                   .method = "GET",
                   .target = "/",
                   .scheme = "http",
                   .server_name = "hello.demo.localhost",
                   .server_port = "8080",
                   .remote_addr = "127.0.0.1",
                   .remote_port = "40000",
                   .request_id = "01hf3z9w0c6qk7m2v8x4t5b1na",
                   .headers = {{"host", "hello.demo.localhost:8080"},
                               {"user-agent", "bench/1.0 (a client of usual length)"},
                               {"accept", "text/html,application/xhtml+xml,*/*;q=0.8"},
                               {"accept-encoding", "gzip, deflate"}}};
  inbox.Offer(head.slot, id);
  const std::size_t begin = BeginFrame(out, FrameType::kRequest, 0, id);
  WireWriter writer(out);
  head.Encode(writer);
  FinishFrame(out, begin);
}

// Reads, claims and answers: what no worker can do without.
[[noreturn]] void RunFloor(int channel, InboxPage& inbox) {
  std::string unread;
  std::vector<char> buffer(128 * 1024);
  std::string answer;
  while (true) {
    const ssize_t count = ::read(channel, buffer.data(), buffer.size());
    if (count <= 0)
      ::_exit(0);
    unread.append(buffer.data(), static_cast<std::size_t>(count));
    std::string_view rest = unread;
    while (true) {
      const Result<std::optional<Frame>> frame = ParseFrame(rest);
      CHECK(frame.ok());
      if (!frame.value())
        break;
      const std::uint32_t id = frame.value()->id;
      CHECK(inbox.Claim((id / 2) % kInboxSlots, id));
      answer.clear();
      const std::size_t begin =
          BeginFrame(answer, FrameType::kResponse, kFrameEnd | kFrameInlineBody, id);
      answer += std::string_view(
          "\xc8\0\x02\0OK\x01\0\x0c\0Content-Type\x0a\0text/plainhello plain\n", 46);
      FinishFrame(answer, begin);
      CHECK(::write(channel, answer.data(), answer.size()) > 0);
    }
    unread.erase(0, unread.size() - rest.size());
  }
}

// One worker process, real or floor, and its channel.
struct Side {
  pid_t pid = -1;
  int channel = -1;
  InboxPage* inbox = nullptr;
  std::uint32_t next_id = 1;
};

Side StartFloor() {
  Side side;
  void* page =
      ::mmap(nullptr, kInboxPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  side.inbox = static_cast<InboxPage*>(page);
  int ends[2] = {-1, -1};
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  side.pid = ::fork();
  CHECK(side.pid >= 0);
  if (side.pid == 0) {
    ::close(ends[0]);
    RunFloor(ends[1], *side.inbox);
  }
  ::close(ends[1]);
  side.channel = ends[0];
  return side;
}

// Sends `batches` of `depth` and waits for each batch; the worker's CPU µs of one request.
double MeasureRun(Side& side, int depth, int batches) {
  std::vector<char> buffer(64 * 1024);
  const double before = CpuMicros(side.pid);
  for (int batch = 0; batch < batches; ++batch) {
    std::string out;
    for (int i = 0; i < depth; ++i, side.next_id += 2)
      AppendRequest(out, *side.inbox, side.next_id);
    CHECK(::write(side.channel, out.data(), out.size()) == static_cast<ssize_t>(out.size()));
    std::string received;
    int ended = 0;
    while (ended < depth) {
      const ssize_t count = ::read(side.channel, buffer.data(), buffer.size());
      CHECK(count > 0);
      received.append(buffer.data(), static_cast<std::size_t>(count));
      std::string_view rest = received;
      while (const std::optional<Frame> frame = ParseFrame(rest).value())
        ended += frame->Has(kFrameEnd) ? 1 : 0;
      received.erase(0, received.size() - rest.size());
    }
  }
  return (CpuMicros(side.pid) - before) / (static_cast<double>(depth) * batches);
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

double PrivateKb(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string line;
  double total = 0;
  while (std::getline(in, line))
    if (line.starts_with("Private_"))
      total += std::stod(line.substr(line.find(':') + 1));
  return total;
}

// From before the fork to the kReady frame, of a compiled hello.
double ReadyMillis(const Files& files, const StartOptions& options) {
  const auto began = std::chrono::steady_clock::now();
  FakeNode node(files, options);
  CHECK(node.WaitReady());
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

int Run(bool quick) {
  const Files files = {{"hello.py", kHello}};
  StartOptions options;
  options.code = CompileFiles(files);
  FakeNode node(files, options);
  CHECK(node.WaitReady());
  Side real{.pid = node.pid(), .channel = node.channel(), .inbox = &node.inbox(), .next_id = 1};
  Side floor = StartFloor();
  const int rounds = quick ? 5 : 15;
  const int requests = quick ? 24000 : 80000;
  std::vector<double> cost[2][2];
  for (int round = 0; round < rounds; ++round)
    for (const int deep : {0, 1}) {
      const int depth = deep == 1 ? 8 : 1;
      cost[0][deep].push_back(MeasureRun(floor, depth, requests / depth));
      cost[1][deep].push_back(MeasureRun(real, depth, requests / depth));
    }
  std::vector<double> ready;
  for (int i = 0; i < 20; ++i)
    ready.push_back(ReadyMillis(files, options));
  const double private_kb = PrivateKb(node.pid());
  std::printf("CPU of the worker, us a request   in it: 8       1\n");
  std::printf("  reads, claims, writes only      %10.2f %7.2f\n", Median(cost[0][1]),
              Median(cost[0][0]));
  std::printf("  runtime, hello                  %10.2f %7.2f\n", Median(cost[1][1]),
              Median(cost[1][0]));
  const double wsgi_us = Median(cost[1][1]) - Median(cost[0][1]);
  std::printf("  the WSGI work                   %10.2f %7.2f\n", wsgi_us,
              Median(cost[1][0]) - Median(cost[0][0]));
  std::printf("fork to ready %.2f ms, private memory after the run %.0f KiB\n", Median(ready),
              private_kb);
  std::printf(
      "RESULT runtime wsgi_us=%.2f cpu_us_8=%.2f cpu_us_1=%.2f ready_ms=%.2f private_kb=%.0f\n",
      wsgi_us, Median(cost[1][1]), Median(cost[1][0]), Median(ready), private_kb);
  ::kill(floor.pid, SIGKILL);
  ::waitpid(floor.pid, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace cloister::testing

int main(int argc, char** argv) {
  const std::string_view argument = argc > 1 ? argv[1] : "";
  if (argument == "--help") {
    std::puts(
        "usage: runtime [--quick]\n"
        "CPU of one hello request in a worker, against a process that only reads, claims and\n"
        "writes; from fork to ready; private memory.");
    return 0;
  }
  return cloister::testing::Run(argument == "--quick");
}
