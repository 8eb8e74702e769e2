#pragma once

// What the one interpreter of this process and its one worker are made of.
//
// Python calls into C without a context of ours, so this is the one global of the worker. The GIL
// guards it.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "apis/base/units.h"
#include "apis/wire/channel.h"
#include "sandbox/image/image.h"
#include "sandbox/worker/channel.h"
#include "sandbox/worker/output.h"
#include "sandbox/worker/python.h"
#include "sandbox/worker/query_channel.h"

namespace cloister {

class Runtime {
 public:
  Runtime(int channel_fd, int query_fd) : channel(channel_fd), query(query_fd) {}

  std::optional<Image> platform;  // the standard library, from WarmInterpreter on
  std::optional<Image> app;       // the rehearsal's, until RunWorker
  InboxPage* inbox = nullptr;
  bool booting = false;  // the entry point is being imported
  PyRef config;          // of ConfigTuple; empty: there is none

  WorkerChannel channel;
  QueryChannel query;
  OutputBuffers output;
  RefusedCalls refused;

  // Looked up once, in the zygote: a look-up in a worker would touch pages that are shared.
  PyRef wall_time_exceeded;  // the class cloister.WallTimeExceeded
  PyRef format_exception;    // _cloister_runtime.report.format_exception
  PyRef rehearse;            // of _cloister_runtime.rehearsal
  PyRef begin;               // of _cloister_runtime.boot
  PyRef load_entry;          // of _cloister_runtime.boot
  PyRef functions;           // _cloister_runtime.functions.application
  PyRef random_seed;         // random.Random.seed of the C part
  PyRef random_instance;     // what random.random() uses
  PyRef stderr_stream;       // wsgi.errors
  PyRef file_wrapper;        // wsgi.file_wrapper

  void BeginRequest(std::uint32_t id, Millis wall_max);
  void EndRequest();
  // Whether a request runs that has used up its wall time.
  bool IsOverWallTime() const;
  Millis wall_max() const { return wall_max_; }

  // Sends what was said and refused so far; before a response, a report and the end.
  void FlushEvents() {
    output.Flush(channel);
    refused.Flush(channel);
  }

  // Formats and clears the Python exception that is set, and sends it to the log.
  void LogException();

 private:
  bool in_request_ = false;
  std::chrono::steady_clock::time_point began_;
  Millis wall_max_{0};
};

// What the C library of a worker sees of an environment, before the app's own. In the zygote, for
// os.environ; again in the worker, because the walls wipe it.
void SetDefaultEnvironment();

// The process's Runtime.
Runtime& TheRuntime();

}  // namespace cloister
