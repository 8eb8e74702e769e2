#pragma once

// Runs blocking work on threads and posts the results back to the loop.
//
// A pool per purpose (state database, hashing); with one thread its jobs run in order. Jobs take
// values and give values: they must not touch what belongs to the loop thread. Jobs are queued per
// key (an app) and the keys take turns, so that one app's backlog delays only itself.
// Destroying the pool runs what is queued (what was promised to be written is written) and drops
// the callbacks.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/loop/loop.h"

namespace cloister {

class Background {
 public:
  Background(Loop& loop, std::size_t threads);
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background();

  // Runs `job` on a thread of the pool, then `done(result)` on the loop thread.
  template <typename Job, typename Done>
  void Run(std::uint64_t key, Job job, Done done) {
    Enqueue(key, [job = std::move(job), done = std::move(done)]() mutable -> std::function<void()> {
      auto result = std::make_shared<decltype(job())>(job());
      return [result, done = std::move(done)]() mutable { done(std::move(*result)); };
    });
  }

  std::size_t queued() const;

 private:
  // Runs on a thread of the pool; returns what the loop thread is to do with the result.
  using Work = std::function<std::function<void()>()>;

  void Enqueue(std::uint64_t key, Work work);
  void RunThread();
  bool TakeNext(Work& work);

  Loop& loop_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // loop thread only
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::uint64_t, std::deque<Work>> queues_;  // by key; none is empty
  std::uint64_t last_key_ = 0;                        // whose turn it was
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace cloister
