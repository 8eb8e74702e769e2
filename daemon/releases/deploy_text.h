#pragma once

// Texts of a deploy's steps and reports.

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <utility>

#include "apis/base/units.h"
#include "daemon/logs/redactor.h"

namespace cloister {

// A tenant's text in a report: enough to find the fault, not enough to fill the database.
inline constexpr std::size_t kMessageMax = 2048;
inline constexpr std::size_t kTracebackMax = std::size_t{64} * 1024;

inline std::string Cut(std::string text, std::size_t size) {
  if (text.size() > size) {
    text.resize(size);
    text += kCutMark;
  }
  return text;
}

inline std::string Milliseconds(Micros time) {
  return fmt::format("{:.1f} ms", static_cast<double>(time.count()) / 1000.0);
}

}  // namespace cloister
