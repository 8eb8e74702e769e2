#include "daemon/loop/background.h"

#include "apis/base/check.h"

namespace cloister {

Background::Background(Loop& loop, std::size_t threads) : loop_(loop) {
  CHECK(threads > 0);
  for (std::size_t i = 0; i < threads; ++i)
    threads_.emplace_back([this] { RunThread(); });
}

Background::~Background() {
  *alive_ = false;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_)
    thread.join();
}

void Background::Enqueue(std::uint64_t key, Work work) {
  {
    const std::lock_guard lock(mutex_);
    CHECK(!stopping_);
    queues_[key].push_back(std::move(work));
  }
  wake_.notify_one();
}

std::size_t Background::queued() const {
  const std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const auto& [key, queue] : queues_)
    total += queue.size();
  return total;
}

bool Background::TakeNext(Work& work) {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || !queues_.empty(); });
  if (queues_.empty())
    return false;
  auto turn = queues_.upper_bound(last_key_);
  if (turn == queues_.end())
    turn = queues_.begin();
  last_key_ = turn->first;
  work = std::move(turn->second.front());
  turn->second.pop_front();
  if (turn->second.empty())
    queues_.erase(turn);
  return true;
}

void Background::RunThread() {
  Work work;
  while (TakeNext(work)) {
    std::function<void()> done = work();
    work = nullptr;
    loop_.Post([alive = alive_, done = std::move(done)] {
      if (*alive)
        done();
    });
  }
}

}  // namespace cloister
