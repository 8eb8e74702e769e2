#include "daemon/logs/journal.h"

// An entry is about the app, not about the line of ours that sends it.
#define SD_JOURNAL_SUPPRESS_LOCATION

#include <fmt/format.h>
#include <sys/uio.h>
#include <syslog.h>

#include <cstring>
#include <string_view>

#include <systemd/sd-journal.h>

#include "apis/base/log.h"

namespace cloister {
namespace {

constexpr std::uint8_t kDebug = 10;
constexpr std::uint8_t kInfo = 20;
constexpr std::uint8_t kWarning = 30;
constexpr std::uint8_t kError = 40;
constexpr std::uint8_t kCritical = 50;

// Of syslog(3). What has no level is printed: information.
int PriorityOf(std::uint8_t level) {
  if (level >= kCritical)
    return LOG_CRIT;
  if (level >= kError)
    return LOG_ERR;
  if (level >= kWarning)
    return LOG_WARNING;
  return level >= kDebug && level < kInfo ? LOG_DEBUG : LOG_INFO;
}

int SendEntry(const LogEvent& event) {
  const std::vector<std::string> entry = JournalEntry(event);
  std::vector<iovec> parts;
  parts.reserve(entry.size());
  for (const std::string& field : entry)
    parts.push_back({.iov_base = const_cast<char*>(field.data()),  // NOLINT: it only reads
                     .iov_len = field.size()});
  return ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
}

}  // namespace

std::vector<std::string> JournalEntry(const LogEvent& event) {
  std::vector<std::string> entry = {
      "MESSAGE=" + event.bytes, fmt::format("PRIORITY={}", PriorityOf(event.level)),
      "SYSLOG_IDENTIFIER=cloister-app", fmt::format("CLOISTER_SEQUENCE={}", event.sequence)};
  const auto add = [&entry](std::string_view name, std::string_view value) {
    if (!value.empty())
      entry.push_back(fmt::format("{}={}", name, value));
  };
  add("CLOISTER_APP", event.app_name);
  add("CLOISTER_RELEASE", event.release);
  add("CLOISTER_REQUEST", event.request_id);
  add("CLOISTER_LOGGER", event.logger);
  add("CLOISTER_CHECK", event.check ? "1" : "");
  return entry;
}

void EventJournal::Send(std::span<const LogEvent> events) {
  bool failed = false;
  for (const LogEvent& event : events) {
    const int sent = SendEntry(event);
    if (sent < 0 && !failed && !failed_)
      Log(LogLevel::kWarning, "journal_refused",
          {{"app", event.app.number}, {"why", std::strerror(-sent)}});
    failed = failed || sent < 0;
  }
  failed_ = failed;
}

}  // namespace cloister
