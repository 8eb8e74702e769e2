#include "apis/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>

namespace cloister {
namespace {

constexpr std::size_t kValueMax = 1024;
constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
constexpr const char* kJournalPattern = "%v";

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Made on first use and never destroyed: threads may log until the very end.
spdlog::logger& Logger() {
  static const auto* logger = [] {
    auto made = std::make_shared<spdlog::logger>("cloister",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern(kPattern, spdlog::pattern_time_type::utc);
    made->flush_on(spdlog::level::debug);
    return new std::shared_ptr<spdlog::logger>(std::move(made));
  }();
  return **logger;
}

// Of syslog(3), which journald takes off the front of a line.
const char* JournalPrefix(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "<7>debug ";
    case LogLevel::kInfo:
      return "<6>info ";
    case LogLevel::kWarning:
      return "<4>warning ";
    case LogLevel::kError:
      return "<3>error ";
  }
  return "<3>error ";
}

bool& ToTheJournal() {
  static bool to_the_journal = false;
  return to_the_journal;
}

std::string& Program() {
  static auto* program = new std::string("cloister");
  return *program;
}

bool IsPlain(unsigned char c) {
  return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\';
}

}  // namespace

LogField::LogField(std::string_view field_key, double number)
    : key(field_key), value(fmt::format("{:.3f}", number)) {}

void OpenLog(std::string_view program, LogLevel least) {
  Program() = program;
  Logger().set_level(ToSpdlog(least));
  const char* stream = std::getenv("JOURNAL_STREAM");
  ToTheJournal() = stream != nullptr && IsJournalStream(stream, STDERR_FILENO);
  Logger().set_pattern(ToTheJournal() ? kJournalPattern : kPattern, spdlog::pattern_time_type::utc);
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  spdlog::logger& logger = Logger();
  if (!logger.should_log(ToSpdlog(level)))
    return;
  fmt::memory_buffer line;
  fmt::format_to(std::back_inserter(line), "{}{} {}", ToTheJournal() ? JournalPrefix(level) : "",
                 Program(), event);
  for (const LogField& field : fields)
    fmt::format_to(std::back_inserter(line), " {}={}", field.key, QuoteLogValue(field.value));
  logger.log(ToSpdlog(level), std::string_view(line.data(), line.size()));
}

bool IsJournalStream(std::string_view journal_stream, int fd) {
  struct stat status = {};
  return ::fstat(fd, &status) == 0 &&
         journal_stream == fmt::format("{}:{}", status.st_dev, status.st_ino);
}

std::string QuoteLogValue(std::string_view value) {
  const bool cut = value.size() > kValueMax;
  value = value.substr(0, kValueMax);
  bool plain = !value.empty() && !cut;
  for (const char c : value)
    plain = plain && IsPlain(static_cast<unsigned char>(c));
  if (plain)
    return std::string(value);
  std::string quoted = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n')
      quoted += "\\n";
    else if (c == '"' || c == '\\')
      (quoted += '\\') += c;
    else if (byte < 0x20 || byte >= 0x7f)
      quoted += fmt::format("\\x{:02x}", byte);
    else
      quoted += c;
  }
  return quoted + (cut ? "...\"" : "\"");
}

}  // namespace cloister
