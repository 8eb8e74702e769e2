#pragma once

// How far something long is: bytes, rate and time left, on one line that changes, or as a plain
// line now and then where nothing can change.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/clock.h"
#include "daemon/cli/console.h"

namespace cloister {

// "0 B", "999 B", "1.0 KiB", "12.3 MiB": at most four digits.
// "1 object", "2 objects".
std::string CountText(std::uint64_t count, std::string_view what);

std::string FormatBytes(std::uint64_t bytes);
// "3 ms", "1.2 s", "2 min 5 s", "3 h 12 min", "4 d 1 h".
std::string FormatDuration(Millis duration);
// "12.3 KiB of 45.0 MiB (27%), 8.1 MiB/s, 4 s left".
std::string FormatProgress(std::uint64_t done, std::uint64_t total, Millis elapsed);

class Progress {
 public:
  // `what`: "hashing", "uploading". References must outlive the object.
  Progress(Console& console, const Clock& clock, std::string what, std::uint64_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  void Set(std::uint64_t done);
  Millis elapsed() const;

 private:
  Console& console_;
  const Clock& clock_;
  std::string what_;
  std::uint64_t total_;
  MonotonicTime started_;
  MonotonicTime shown_;
};

}  // namespace cloister
