// What a quota costs each request and each event: bench-quota

#include "apis/quota/quota.h"

#include <benchmark/benchmark.h>

#include <string>

#include "apis/wire/frame.h"
#include "daemon/calls/worker_calls.h"
#include "tests/support/fake_clock.h"

namespace cloister {
namespace {

// With room: what nearly all requests see.
void BmTake(benchmark::State& state) {
  TokenBucket bucket(1e12, 1e12);
  MonotonicTime now{Seconds(1)};
  for (auto _ : state) {
    now += Micros(1);
    benchmark::DoNotOptimize(bucket.Take(1, now));
  }
}
BENCHMARK(BmTake);

// The same with the look at the clock that an event of a log takes.
void BmTakeWithClock(benchmark::State& state) {
  TokenBucket bucket(1e12, 1e12);
  const SystemClock clock;
  for (auto _ : state)
    benchmark::DoNotOptimize(bucket.Take(1, clock.Now()));
}
BENCHMARK(BmTakeWithClock);

void BmRefuse(benchmark::State& state) {
  TokenBucket bucket(1, 1);
  QuotaNotice notice;
  MonotonicTime now{Seconds(1)};
  for (auto _ : state) {
    now += Micros(1);
    if (!bucket.Take(2, now))
      benchmark::DoNotOptimize(notice.Refuse(now));
  }
}
BENCHMARK(BmRefuse);

// A whole call of a worker, metered, served and answered, by an app that uses `state.range(0)`
// percent of its calls all the time.
class Calls : public ApiService, public LogSink, public WorkerCalls::Channel {
 public:
  explicit Calls(double used) {
    server_.SetService(Api::kCache, *this);
    quota_.cache.calls_rate = 1000000;
    EncodeFields(CacheGet{.key = "k"}, call_);
    for (double i = 0; i < used * 10000; ++i)
      Call();
  }
  void CallInTime() {
    clock_.Advance(Micros(1));
    Call();
  }

  Result<void> Serve(CallId id, const CallOrigin& /*origin*/, CallNumber /*number*/,
                     std::string_view /*args*/) override {
    server_.Answer(id, reply_);
    return {};
  }
  void Append(LogEvent /*event*/) override {}
  std::string* CallOut() override { return &out_; }
  void TouchCallOut() override { out_.clear(); }
  std::size_t unread() const override { return 0; }
  void OnBadCall(const Error& /*error*/) override {}

 private:
  void Call() {
    benchmark::DoNotOptimize(
        calls_.TakeCall({.type = FrameType::kCall, .id = 2, .payload = call_}).ok());
  }

  FakeClock clock_;
  CallServer server_{clock_, *this};
  AppName name_ = AppName::Parse("demo/hello").value();
  std::string version_ = "1.0.0";
  CallQuota quota_;
  std::string call_ = std::string("\x01\x01", 2);
  std::string reply_ = EncodeReply(CacheGetResult{.value = "v"});
  std::string out_;
  WorkerCalls calls_{
      server_, *this, {.app = AppId{1}, .name = name_, .version = version_, .quota = quota_}};
};

void BmCall(benchmark::State& state) {
  Calls calls(static_cast<double>(state.range(0)));
  for (auto _ : state)
    calls.CallInTime();
}
BENCHMARK(BmCall)->Arg(10)->Arg(90);

}  // namespace
}  // namespace cloister

BENCHMARK_MAIN();
