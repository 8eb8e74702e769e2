#pragma once

// Copies of apps' databases under way, and the query processes that must not start meanwhile.
//
// A process that starts reads the log under locks that a copy has. So a copy begins when none is
// starting, and one that is to start stops the copies, which begin again once it serves. Owned by
// QueryProcesses; runs on the loop thread, and copies in the background.

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/loop/background.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"
#include "daemon/workers/database_source.h"

namespace cloister {

class DatabaseCopies {
 public:
  // `is_starting`: whether a query process of that database is on its way to serve.
  using IsStarting = std::function<bool(AppId app, std::uint64_t data)>;

  DatabaseCopies(Loop& loop, std::string state_dir, IsStarting is_starting);
  DatabaseCopies(const DatabaseCopies&) = delete;
  DatabaseCopies& operator=(const DatabaseCopies&) = delete;
  // No callback comes after.
  ~DatabaseCopies();

  void Add(DatabaseCopy copy, std::function<void(Result<Bytes>)> done);
  // Calls `free`, perhaps at once, when no copy of that database holds its locks.
  void Hold(AppId app, std::uint64_t data, std::function<void()> free);

 private:
  struct Job {
    std::uint64_t id = 0;
    DatabaseCopy copy;
    std::function<void(Result<Bytes>)> done;
    std::shared_ptr<std::atomic<bool>> stop;
    bool locks = false;  // it may hold them now
    unsigned stopped = 0;
    std::unique_ptr<Timer> retry;
  };
  struct Waiting {
    AppId app;
    std::uint64_t data = 0;
    std::function<void()> free;
  };

  void Try(std::uint64_t id);
  void OnCopied(std::uint64_t id, Result<Bytes> copied);
  void Finish(std::uint64_t id, Bytes size);
  void End(std::uint64_t id, Result<Bytes> result);
  void Free();
  bool IsLocked(AppId app, std::uint64_t data) const;
  std::list<Job>::iterator Find(std::uint64_t id);

  Loop& loop_;
  std::string state_dir_;
  IsStarting is_starting_;
  std::list<Job> jobs_;
  std::vector<Waiting> waiting_;
  std::uint64_t last_ = 0;
  std::shared_ptr<DatabaseCopies*> self_;  // null inside once this is gone
  Background background_;
};

}  // namespace cloister
