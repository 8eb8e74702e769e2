#pragma once

// Events of the daemon's own log: a name in the past tense and fields, never a sentence.
//
//   Log(LogLevel::kInfo, "worker_started", {{"app", app.ToString()}, {"boot_ms", boot.count()}});
//
// Written as one line `TIME LEVEL event key=value ...` to stderr; values are quoted where needed,
// so tenant text cannot forge a line. Where stderr is systemd's journal, which has its own time, a
// line is `<PRIORITY>LEVEL event key=value ...` (sd-daemon(3)). kError: an operator must act.
// kWarning: we went on without. Anything a tenant can trigger at will must be rate-limited by the
// caller (LogEvery). Thread-safe. Not for the zygote's children: between fork and confinement use
// raw writes.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace cloister {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogField {
  template <std::integral T>
  LogField(std::string_view field_key, T number)  // NOLINT(google-explicit-constructor)
      : key(field_key), value(std::to_string(number)) {}
  LogField(std::string_view field_key, double number);
  LogField(std::string_view field_key, std::string_view text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, const char* text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, std::string text) : key(field_key), value(std::move(text)) {}

  std::string_view key;
  std::string value;
};

// Names the program at the start of every line; call once, before threads start. Whether stderr is
// the journal tells the environment: JOURNAL_STREAM, see systemd.exec(5).
void OpenLog(std::string_view program, LogLevel least);

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// Whether `fd` is the stream to the journal that `journal_stream` names: "DEVICE:INODE".
bool IsJournalStream(std::string_view journal_stream, int fd);

// `value` as it stands in a log line: as it is when it is plain, else in quotes with \xNN escapes,
// cut at 1 KiB.
std::string QuoteLogValue(std::string_view value);

}  // namespace cloister
