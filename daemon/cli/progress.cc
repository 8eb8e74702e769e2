#include "daemon/cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace cloister {
namespace {

// How often the changing line changes, and a plain line is added.
constexpr Millis kLiveEvery{100};
constexpr Millis kPlainEvery{5000};
// Before that a rate says little.
constexpr Millis kRateAfter{200};

std::string Bar(std::uint64_t done, std::uint64_t total) {
  constexpr std::size_t kCells = 12;
  const double part = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
  const auto full = static_cast<std::size_t>(std::min(part, 1.0) * kCells);
  return "[" + std::string(full, '#') + std::string(kCells - full, '-') + "]";
}

}  // namespace

std::string CountText(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string FormatBytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024)
    return fmt::format("{} B", bytes);
  auto number = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.95 would be shown as 1024.0.
  while (number >= 1023.95 && unit + 1 < kUnits.size()) {
    number /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", number, kUnits[unit]);
}

std::string FormatDuration(Millis duration) {
  const std::int64_t millis = std::max<std::int64_t>(duration.count(), 0);
  const std::int64_t seconds = millis / 1000;
  if (millis < 1000)
    return fmt::format("{} ms", millis);
  if (millis < 10000)
    return fmt::format("{}.{} s", seconds, millis % 1000 / 100);
  if (seconds < 60)
    return fmt::format("{} s", seconds);
  if (seconds < 3600)
    return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (seconds < 86400)
    return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds % 86400 / 3600);
}

std::string FormatProgress(std::uint64_t done, std::uint64_t total, Millis elapsed) {
  const double part = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
  std::string text = fmt::format("{} of {} ({}%)", FormatBytes(done), FormatBytes(total),
                                 static_cast<int>(part * 100));
  if (elapsed < kRateAfter || done == 0)
    return text;
  const double per_milli = static_cast<double>(done) / static_cast<double>(elapsed.count());
  text += fmt::format(", {}/s", FormatBytes(static_cast<std::uint64_t>(per_milli * 1000)));
  if (done < total)
    text += fmt::format(", {} left", FormatDuration(Millis(static_cast<std::int64_t>(
                                         static_cast<double>(total - done) / per_milli))));
  return text;
}

Progress::Progress(Console& console, const Clock& clock, std::string what, std::uint64_t total)
    : console_(console),
      clock_(clock),
      what_(std::move(what)),
      total_(total),
      started_(clock.Now()),
      shown_(started_) {}

Progress::~Progress() {
  console_.Status("");
}

void Progress::Set(std::uint64_t done) {
  const MonotonicTime now = clock_.Now();
  if (now - shown_ < (console_.live() ? kLiveEvery : kPlainEvery))
    return;
  shown_ = now;
  // What is counted may have grown meanwhile.
  const std::string text = FormatProgress(done, std::max(done, total_), elapsed());
  if (console_.live())
    console_.Status(what_ + " " + Bar(done, total_) + " " + text);
  else
    console_.Note(what_ + " " + text);
}

Millis Progress::elapsed() const {
  return std::chrono::duration_cast<Millis>(clock_.Now() - started_);
}

}  // namespace cloister
