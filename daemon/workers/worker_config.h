#pragma once

// The config of one worker: sent first of all, and again when it changes while the worker runs.
//
// Owned by a Worker; runs on the loop thread. A worker that does not read, or that has known very
// many secrets, gets no more: it is worn, and another one is better.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "daemon/workers/frame_channel.h"
#include "daemon/workers/run_config.h"
#include "daemon/workers/worker_log.h"

namespace cloister {

class WorkerConfig {
 public:
  // Whatever the worker is sent its log must not show.
  explicit WorkerConfig(WorkerLog& log) : log_(log) {}

  // What it is made with; null: the app has none.
  void Begin(std::shared_ptr<const RunConfig> config);
  void Send(FrameChannel& channel);
  // `channel` null: it is not handed over yet, and gets this one then.
  void Deliver(std::shared_ptr<const RunConfig> config, FrameChannel* channel);

  // The version; 0: none.
  std::uint64_t number() const { return config_ == nullptr ? 0 : config_->number; }
  bool worn() const { return worn_; }
  // How much of `pending`, the bytes that it has not read, may be config.
  std::size_t UnreadOf(std::size_t pending) {
    unread_ = pending == 0 ? 0 : unread_;
    return unread_;
  }

 private:
  WorkerLog& log_;
  std::shared_ptr<const RunConfig> config_;  // the newest; null: none
  std::size_t unread_ = 0;                   // sent since it had last read all
  bool worn_ = false;
};

}  // namespace cloister
