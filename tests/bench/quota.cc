// What a quota costs each request and each event: bench-quota

#include "apis/quota/quota.h"

#include <benchmark/benchmark.h>

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

}  // namespace
}  // namespace cloister

BENCHMARK_MAIN();
