#pragma once

// The state database of a node and the threads that use it.
//
// Open() takes the writer's role: one connection on one thread writes ("state"), another reads
// ("reader"), so that an image can be built while an upload is written. What a job committed is
// seen by every later job of either. Jobs are functions of a Database that block; results come back
// on the loop thread. Close() lets go of the files, after what was queued has been written. Runs on
// the loop thread. Owned by the node; must outlive whatever queues jobs.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "apis/backends/sqlite.h"
#include "daemon/loop/background.h"
#include "daemon/loop/loop.h"

namespace cloister {

class State {
 public:
  // `directory` exists and belongs to us.
  State(Loop& loop, std::string directory);
  ~State();

  // Opens state.db, migrates it, and calls `done`. Not open: every job fails with kUnavailable.
  void Open(std::function<void(Result<void>)> done);
  // Jobs queued before this still run; `done` is called when the files are closed.
  void Close(std::function<void()> done);
  // The same for the writer alone: another process may write, this one still reads.
  void CloseWriter(std::function<void()> done);

  // `job(Database&)` gives a Result<T> (or another type that is made from an Error); `done` gets
  // it. `key`: jobs of one key (a tenant's or an app's number) run in order, keys take turns.
  template <typename Job, typename Done>
  void Write(std::uint64_t key, Job job, Done done) {
    RunOn(*writer_, key, std::move(job), std::move(done));
  }
  template <typename Job, typename Done>
  void Read(std::uint64_t key, Job job, Done done) {
    RunOn(*reader_, key, std::move(job), std::move(done));
  }

  template <typename Job, typename Done>
  void Bulk(std::uint64_t key, Job job, Done done) {
    RunOn(*bulk_, key, std::move(job), std::move(done));
  }

  const std::string& directory() const { return directory_; }
  std::string database_path() const { return directory_ + "/state.db"; }
  // What an app keeps outside of the database.
  std::string AppDirectory(std::uint64_t app) const {
    return directory_ + "/apps/" + std::to_string(app);
  }

 private:
  // A thread and the connection that it alone touches.
  struct Side {
    explicit Side(Loop& loop) : pool(loop, 1) {}
    std::optional<Database> db;
    Background pool;  // destroyed first: its jobs use db
  };

  template <typename Job, typename Done>
  static void RunOn(Side& side, std::uint64_t key, Job job, Done done) {
    Side* borrowed = &side;
    side.pool.Run(
        key,
        [borrowed, job = std::move(job)]() mutable -> decltype(job(*borrowed->db)) {
          if (!borrowed->db)
            return Error{ErrorCode::kUnavailable, "the state directory is not open"};
          return job(*borrowed->db);
        },
        std::move(done));
  }

  static void OpenReader(Side& side, const std::string& path,
                         std::function<void(Result<void>)> done);
  static void CloseSide(Side& side, std::function<void()> done);

  std::string directory_;
  std::unique_ptr<Side> writer_;
  std::unique_ptr<Side> reader_;
  std::unique_ptr<Side> bulk_;
};

}  // namespace cloister
