// How should a worker's answers reach the node: over the socket, or through a ring in shared
// memory? Both ways, with one and with eight requests in the worker, interleaved in one run.
//
// The node's side is the real loop, stream, frames and inbox page; the worker is a process that
// claims, spends about the CPU of a small WSGI call and answers. docs/adr/0002-wire.md has the
// decision.

#include "apis/wire/channel.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/check.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/frame.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/stream.h"

namespace cloister {
namespace {

constexpr int kOutstanding = 32;
constexpr std::size_t kRingSize = 256 * 1024;
constexpr double kNodeWorkMicros = 4.0;    // what HTTP costs a request in the node
constexpr double kWorkerWorkMicros = 1.0;  // a small WSGI call
constexpr std::string_view kBody = "Hello, world";

struct Variant {
  const char* name;
  bool ring;
  std::size_t depth;
};
constexpr std::array<Variant, 4> kVariants = {{
    {.name = "socket_1", .ring = false, .depth = 1},
    {.name = "ring_1", .ring = true, .depth = 1},
    {.name = "socket_8", .ring = false, .depth = 8},
    {.name = "ring_8", .ring = true, .depth = 8},
}};

// What the two processes share: the inbox, and answers as frames in a ring of bytes.
struct SharedPage {
  InboxPage inbox = {};
  alignas(64) std::atomic<std::uint64_t> written{0};  // by the worker
  alignas(64) std::atomic<std::uint64_t> taken{0};    // by the node
  alignas(64) std::atomic<std::uint32_t> node_sleeps{1};
  std::array<char, kRingSize> bytes = {};
};

double CpuSeconds(int who) {
  rusage usage = {};
  CHECK(::getrusage(who, &usage) == 0);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double WallSeconds() {
  timespec now = {};
  CHECK(::clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// A chain of multiplications: each waits for the one before, so the time does not depend on how
// clever the processor is.
void Spin(std::uint64_t rounds) {
  std::uint64_t chain = 1;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    chain *= 6364136223846793005U;
    asm volatile("" : "+r"(chain));
  }
}

// How many rounds of Spin one microsecond of CPU takes.
double SpinRoundsPerMicro() {
  constexpr std::uint64_t kRounds = 100'000'000;
  const double begin = CpuSeconds(RUSAGE_SELF);
  Spin(kRounds);
  return static_cast<double>(kRounds) / ((CpuSeconds(RUSAGE_SELF) - begin) * 1e6);
}

void CopyIntoRing(SharedPage& page, std::string_view bytes) {
  const std::uint64_t at = page.written.load(std::memory_order_relaxed);
  while (at + bytes.size() - page.taken.load(std::memory_order_acquire) > kRingSize) {
  }
  const std::size_t offset = at % kRingSize;
  const std::size_t first = std::min(bytes.size(), kRingSize - offset);
  std::memcpy(page.bytes.data() + offset, bytes.data(), first);
  std::memcpy(page.bytes.data(), bytes.data() + first, bytes.size() - first);
  page.written.store(at + bytes.size(), std::memory_order_seq_cst);
}

// Appends what the ring holds to `out`: a copy, since the worker may change it at any time.
bool TakeFromRing(SharedPage& page, std::string& out) {
  const std::uint64_t from = page.taken.load(std::memory_order_relaxed);
  const std::uint64_t size = page.written.load(std::memory_order_seq_cst) - from;
  CHECK(size <= kRingSize);
  if (size == 0)
    return false;
  const std::size_t offset = from % kRingSize;
  const std::size_t first = std::min<std::size_t>(size, kRingSize - offset);
  out.append(page.bytes.data() + offset, first);
  out.append(page.bytes.data(), size - first);
  page.taken.store(from + size, std::memory_order_release);
  return true;
}

void SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::write(fd, bytes.data(), bytes.size());
    CHECK(sent > 0);
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

// --- The worker process

class BenchWorker {
 public:
  BenchWorker(int fd, SharedPage& page, const Variant& variant, std::uint64_t work_rounds)
      : fd_(fd), page_(page), variant_(variant), work_rounds_(work_rounds) {}

  // Until the node closes the channel.
  void Run() {
    std::string buffer;
    std::array<char, 65536> read_buffer = {};
    while (true) {
      const ssize_t size = ::read(fd_, read_buffer.data(), read_buffer.size());
      if (size <= 0)
        return;
      buffer.append(read_buffer.data(), static_cast<std::size_t>(size));
      std::string_view rest = buffer;
      while (const auto frame = ParseFrame(rest).value())
        Serve(*frame);
      buffer.erase(0, buffer.size() - rest.size());
    }
  }

 private:
  void Serve(const Frame& frame) {
    WireReader reader(frame.payload);
    const Result<RequestHead> head = RequestHead::Decode(reader);
    CHECK(head.ok() && page_.inbox.Claim(head.value().slot, frame.id));
    Spin(work_rounds_);
    answer_.clear();
    const std::size_t begin =
        BeginFrame(answer_, FrameType::kResponse, kFrameInlineBody | kFrameEnd, frame.id);
    ResponseHead response{.status = 200, .reason = "OK", .headers = {}};
    response.headers.push_back({.name = "Content-Type", .value = "text/plain; charset=utf-8"});
    response.headers.push_back({.name = "Content-Length", .value = "12"});
    WireWriter writer(answer_);
    response.Encode(writer);
    writer.Raw(kBody);
    FinishFrame(answer_, begin);
    if (!variant_.ring)
      return SendAll(fd_, answer_);
    CopyIntoRing(page_, answer_);
    if (page_.node_sleeps.exchange(0, std::memory_order_seq_cst) != 0)
      SendAll(fd_, "w");
  }

  int fd_;
  SharedPage& page_;
  const Variant& variant_;
  std::uint64_t work_rounds_;
  std::string answer_;
};

// --- The node's side

class BenchNode : private Stream::Handler {
 public:
  BenchNode(UniqueFd fd, SharedPage& page, const Variant& variant, std::uint64_t work_rounds)
      : page_(page),
        variant_(variant),
        work_rounds_(work_rounds),
        stream_(
            std::make_unique<Stream>(loop_, std::move(fd), static_cast<Stream::Handler&>(*this))) {
    head_.method = "GET";
    head_.target = "/";
    head_.scheme = "http";
    head_.server_name = "hello.demo.localhost";
    head_.server_port = "8080";
    head_.remote_addr = "127.0.0.1";
    head_.remote_port = "40000";
    head_.request_id = "01HF8Y0000000000000000000A";
    head_.headers = {{.name = "host", .value = "hello.demo.localhost:8080"},
                     {.name = "user-agent", .value = "bench/1.0"},
                     {.name = "accept", .value = "*/*"}};
    for (std::size_t slot = 0; slot < kInboxSlots; ++slot)
      free_slots_.push_back(static_cast<std::uint8_t>(slot));
  }

  // Until `requests` were answered.
  void Run(std::uint64_t requests) {
    wanted_ = requests;
    waiting_ = kOutstanding;
    stream_->ReadStart();
    Fill();
    loop_.Run();
    stream_.reset();
  }

 private:
  struct InFlight {
    std::uint32_t id = 0;
    std::uint8_t slot = 0;
  };

  void Fill() {
    while (waiting_ > 0 && in_flight_.size() < variant_.depth && sent_ < wanted_) {
      Spin(work_rounds_);
      head_.slot = free_slots_.back();
      free_slots_.pop_back();
      const auto id = static_cast<std::uint32_t>(2 * sent_ + 1);
      page_.inbox.Offer(head_.slot, id);
      const std::size_t begin = BeginFrame(stream_->out(), FrameType::kRequest, 0, id);
      WireWriter writer(stream_->out());
      head_.Encode(writer);
      FinishFrame(stream_->out(), begin);
      stream_->Touch();
      in_flight_.push_back({.id = id, .slot = head_.slot});
      --waiting_;
      ++sent_;
    }
  }

  void OnData(std::string_view bytes) override {
    if (!variant_.ring) {
      in_ += bytes;
      return TakeAnswers();
    }
    DrainRing();
  }

  // The requests leave before the node looks again: it goes to sleep only over an empty ring.
  void DrainRing() {
    while (TakeFromRing(page_, in_)) {
      TakeAnswers();
      stream_->Flush();
    }
    page_.node_sleeps.store(1, std::memory_order_seq_cst);
    if (page_.written.load(std::memory_order_seq_cst) !=
            page_.taken.load(std::memory_order_relaxed) &&
        page_.node_sleeps.exchange(0, std::memory_order_seq_cst) != 0)
      DrainRing();
  }

  void TakeAnswers() {
    std::string_view rest = in_;
    while (const auto frame = ParseFrame(rest).value())
      TakeAnswer(*frame);
    in_.erase(0, in_.size() - rest.size());
    Fill();
    if (answered_ == wanted_)
      loop_.Stop();
  }

  void TakeAnswer(const Frame& frame) {
    WireReader reader(frame.payload);
    CHECK(ResponseHead::Decode(reader).ok() && reader.Rest() == kBody);
    const auto found =
        std::ranges::find_if(in_flight_, [&](const InFlight& one) { return one.id == frame.id; });
    CHECK(found != in_flight_.end());
    free_slots_.push_back(found->slot);
    in_flight_.erase(found);
    ++answered_;
    ++waiting_;
  }

  void OnEnd(bool /*broken*/) override { CHECK(answered_ == wanted_); }

  Loop loop_;
  SharedPage& page_;
  const Variant& variant_;
  std::uint64_t work_rounds_;
  std::unique_ptr<Stream> stream_;
  RequestHead head_;
  std::vector<std::uint8_t> free_slots_;
  std::vector<InFlight> in_flight_;
  std::string in_;
  int waiting_ = 0;
  std::uint64_t wanted_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t answered_ = 0;
};

// --- One measurement

struct Measured {
  double cpu_us = 0;         // a request, both processes
  double worker_cpu_us = 0;  // the worker's part of it
  double rps = 0;
};

Measured Measure(const Variant& variant, std::uint64_t requests, double rounds_per_micro) {
  void* const memory = ::mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  auto* const page = new (memory) SharedPage();
  std::array<int, 2> ends = {-1, -1};
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  UniqueFd node_end(ends[0]);
  UniqueFd worker_end(ends[1]);
  const auto rounds = [&](double micros) {
    return static_cast<std::uint64_t>(micros * rounds_per_micro);
  };
  const double begin = WallSeconds();
  const double node_begin = CpuSeconds(RUSAGE_SELF);
  const double worker_begin = CpuSeconds(RUSAGE_CHILDREN);
  const pid_t child = ::fork();
  CHECK(child >= 0);
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    node_end.Reset();
    BenchWorker(worker_end.get(), *page, variant, rounds(kWorkerWorkMicros)).Run();
    ::_exit(0);
  }
  worker_end.Reset();
  BenchNode(std::move(node_end), *page, variant, rounds(kNodeWorkMicros)).Run(requests);
  const double wall = WallSeconds() - begin;
  CHECK(::waitpid(child, nullptr, 0) == child);
  const double worker_cpu = CpuSeconds(RUSAGE_CHILDREN) - worker_begin;
  const double node_cpu = CpuSeconds(RUSAGE_SELF) - node_begin;
  CHECK(::munmap(memory, sizeof(SharedPage)) == 0);
  const double count = static_cast<double>(requests);
  return {.cpu_us = (node_cpu + worker_cpu) * 1e6 / count,
          .worker_cpu_us = worker_cpu * 1e6 / count,
          .rps = count / wall};
}

Measured Median(std::span<Measured> rounds) {
  const auto middle = [&](auto member) {
    std::ranges::sort(rounds, {}, member);
    return rounds[rounds.size() / 2].*member;
  };
  return {.cpu_us = middle(&Measured::cpu_us),
          .worker_cpu_us = middle(&Measured::worker_cpu_us),
          .rps = middle(&Measured::rps)};
}

void Report(const std::array<Measured, kVariants.size()>& medians) {
  std::printf("%-10s %12s %12s %12s %10s\n", "answers", "cpu_us/req", "node", "worker", "req/s");
  for (std::size_t i = 0; i < kVariants.size(); ++i)
    std::printf("%-10s %12.2f %12.2f %12.2f %10.0f\n", kVariants[i].name, medians[i].cpu_us,
                medians[i].cpu_us - medians[i].worker_cpu_us, medians[i].worker_cpu_us,
                medians[i].rps);
  std::printf("of it, standing for HTTP and for the app: %.1f + %.1f us\n", kNodeWorkMicros,
              kWorkerWorkMicros);
  std::printf("RESULT channel");
  for (std::size_t i = 0; i < kVariants.size(); ++i)
    std::printf(" %s_cpu_us=%.2f %s_rps=%.0f", kVariants[i].name, medians[i].cpu_us,
                kVariants[i].name, medians[i].rps);
  for (const std::size_t socket : {std::size_t{0}, std::size_t{2}})
    std::printf(" depth_%zu_ring_vs_socket_cpu=%.3f depth_%zu_ring_vs_socket_rps=%.3f",
                kVariants[socket].depth, medians[socket + 1].cpu_us / medians[socket].cpu_us,
                kVariants[socket].depth, medians[socket + 1].rps / medians[socket].rps);
  std::printf(" depth_8_vs_1_socket_cpu=%.3f\n", medians[2].cpu_us / medians[0].cpu_us);
}

int Main(std::span<char*> arguments) {
  const std::string_view option = arguments.size() > 1 ? arguments[1] : "";
  if (option == "--help") {
    std::printf(
        "usage: channel [--quick]\n"
        "Compares two ways for a worker's answers to reach the node, the channel's socket and a\n"
        "ring in shared memory, with 1 and 8 requests in the worker and 32 outstanding; CPU of\n"
        "node and worker together, medians of interleaved rounds.\n");
    return 0;
  }
  if (!option.empty() && option != "--quick") {
    std::fprintf(stderr, "channel: unknown option %s\n", arguments[1]);
    return 2;
  }
  const bool quick = option == "--quick";
  const int rounds = quick ? 7 : 31;
  const std::uint64_t requests = quick ? 20'000 : 50'000;
  const double rounds_per_micro = SpinRoundsPerMicro();
  std::array<std::vector<Measured>, kVariants.size()> measured;
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < kVariants.size(); ++i)
      measured[i].push_back(Measure(kVariants[i], requests, rounds_per_micro));
  std::array<Measured, kVariants.size()> medians = {};
  for (std::size_t i = 0; i < kVariants.size(); ++i)
    medians[i] = Median(measured[i]);
  Report(medians);
  return 0;
}

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  return cloister::Main({argv, static_cast<std::size_t>(argc)});
}
