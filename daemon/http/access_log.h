#pragma once

// One line for every request that was answered, refused or abandoned.
//
//   2026-11-21T10:00:00.000Z access app=demo/hello release=1.0.0 method=GET target=/ status=200
//   bytes=12 queue_us=31 worker_us=410 total_us=480 id=01... client_id=- remote=127.0.0.1
//   (on one line; values as in the daemon's log: quoted where needed)

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/clock.h"
#include "apis/base/unique_fd.h"
#include "daemon/loop/timer.h"

namespace cloister {

struct AccessRecord {
  WallTime time;
  std::string_view app;
  std::string_view release;
  std::string_view method;
  std::string_view target;
  int status = 0;           // 0: the client went away before there was one
  std::uint64_t bytes = 0;  // of the response's body
  Micros queued{0};
  Micros service{0};
  Micros total{0};
  std::string_view request_id;
  std::string_view client_request_id;
  std::string_view remote_addr;
};

class AccessLog {
 public:
  AccessLog() = default;
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;
  virtual ~AccessLog() = default;
  virtual void Write(const AccessRecord& record) = 0;
};

// Appends `record` as one line to `out`.
void AppendAccessLine(const AccessRecord& record, std::string& out);

// Collects lines and writes them when 64 KiB are there or a second has passed. Never waits for the
// reader: when 1 MiB is pending, lines are dropped and the next one written says how many.
class FileAccessLog : public AccessLog {
 public:
  FileAccessLog(Loop& loop, UniqueFd file);
  FileAccessLog(const FileAccessLog&) = delete;
  FileAccessLog& operator=(const FileAccessLog&) = delete;
  ~FileAccessLog() override;

  void Write(const AccessRecord& record) override;
  void Flush();
  std::uint64_t dropped() const { return dropped_; }

 private:
  // Whether the descriptor takes bytes now without blocking.
  bool IsWritable() const;

  UniqueFd file_;
  bool regular_ = false;
  std::string lines_;
  std::size_t written_ = 0;  // of lines_
  std::uint64_t dropped_ = 0;
  std::uint64_t dropped_reported_ = 0;
  Timer timer_;
};

}  // namespace cloister
