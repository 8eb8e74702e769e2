// What a call of the cache costs the node's loop: bench-cache SOCKET [SECONDS]
//
// Gets and sets of 100 bytes through CacheService to the redis-server on that unix socket, with 1,
// 8 and 64 calls under way at one time. Prints calls a second and the CPU of this process for each.

#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "apis/cache/service.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"

namespace cloister {
namespace {

class NoGenerations : public CacheGenerations {
 public:
  explicit NoGenerations(Loop& loop) : loop_(loop) {}
  void Load(AppId /*app*/, std::function<void(Result<CacheGeneration>)> done) override {
    loop_.Post([done = std::move(done)] { done(CacheGeneration{.space = "bench", .number = 1}); });
  }
  void Store(AppId /*app*/, std::uint64_t /*number*/,
             std::function<void(Result<void>)> done) override {
    loop_.Post([done = std::move(done)] { done({}); });
  }

 private:
  Loop& loop_;
};

double CpuMicros() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto micros = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

class Bench : public CallAnswers {
 public:
  Bench(const std::string& socket, Millis duration)
      : generations_(loop_),
        service_({.loop = loop_.uv(),
                  .clock = clock_,
                  .answers = *this,
                  .generations = generations_,
                  .later = {}},
                 Options(socket)),
        duration_(duration) {}

  // Without a server every call is answered at once.
  void Connect() {
    Timer look(loop_);
    look.Repeat(Millis(1), [this] {
      if (service_.redis().connected())
        loop_.Stop();
    });
    loop_.Run();
  }

  void Run(bool sets, int depth) {
    sets_ = sets;
    answered_ = 0;
    running_ = true;
    const double cpu = CpuMicros();
    for (int i = 0; i < depth; ++i)
      Begin();
    Timer end(loop_);
    end.Start(duration_, [this] {
      running_ = false;
      loop_.Stop();
    });
    loop_.Run();
    const double calls = static_cast<double>(answered_);
    std::printf("%s depth %2d: %8.0f calls/s, %5.2f CPU us a call\n", sets ? "set" : "get", depth,
                calls * 1000 / static_cast<double>(duration_.count()), (CpuMicros() - cpu) / calls);
    // What is under way still.
    end.Start(Millis(100), [this] { loop_.Stop(); });
    loop_.Run();
  }

  void Answer(CallId /*call*/, std::string /*reply*/) override {
    ++answered_;
    if (running_ && service_.redis().connected())
      loop_.AtTurnEnd([this] { Begin(); });
  }
  void GiveBack(CallId /*call*/, std::uint32_t /*count*/) override {}
  void NoteQuotaRefused(AppId /*app*/, std::string_view /*quota*/) override {}
  void NoteQuotaNear(AppId /*app*/, std::string_view /*quota*/, std::string_view /*limit*/,
                     double /*used*/) override {}

 private:
  RedisOptions Options(const std::string& socket) {
    RedisOptions options;
    options.address.path = socket;
    options.at_turn_end = [this](std::function<void()> task) { loop_.AtTurnEnd(std::move(task)); };
    return options;
  }
  void Begin() {
    const std::string key = "key" + std::to_string(++calls_ % 1000);
    std::string args;
    CallNumber number = CallNumber::kCacheGet;
    if (sets_) {
      number = CallNumber::kCacheSet;
      EncodeFields(CacheSet{.key = key, .value = value_, .ttl_ms = 60000}, args);
    } else {
      EncodeFields(CacheGet{.key = key}, args);
    }
    (void)service_.Serve(calls_, {.app = AppId{1}, .overlay = 0, .quota = {}}, number, args).ok();
  }

  Loop loop_;
  SystemClock clock_;
  NoGenerations generations_;
  CacheService service_;
  Millis duration_;
  std::string value_ = std::string(100, 'v');
  std::uint64_t calls_ = 0;
  std::uint64_t answered_ = 0;
  bool sets_ = false;
  bool running_ = false;
};

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  if (argc < 2) {
    (void)std::fprintf(stderr, "bench-cache SOCKET [SECONDS]\n");
    return 2;
  }
  (void)std::signal(SIGPIPE, SIG_IGN);
  const int seconds = argc > 2 ? static_cast<int>(std::strtol(argv[2], nullptr, 10)) : 2;
  cloister::Bench bench(argv[1], cloister::Seconds(seconds));
  bench.Connect();
  bench.Run(true, 64);  // fills it
  for (const bool sets : {false, true})
    for (const int depth : {1, 8, 64})
      bench.Run(sets, depth);
}
