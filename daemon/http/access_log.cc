#include "daemon/http/access_log.h"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <ctime>

#include "apis/base/log.h"

namespace cloister {
namespace {

constexpr std::size_t kFlushAt = 64 * 1024;
constexpr std::size_t kPendingMax = 1024 * 1024;
constexpr std::size_t kTextMax = 256;
constexpr Millis kFlushEvery{1000};

// Like QuoteLogValue, but without an allocation where nothing needs a quote.
void AppendText(std::string& out, std::string_view key, std::string_view value) {
  ((out += ' ') += key) += '=';
  if (value.empty()) {
    out += '-';
    return;
  }
  const bool cut = value.size() > kTextMax;
  value = value.substr(0, kTextMax);
  const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\';
  });
  if (plain)
    out += value;
  else
    out += QuoteLogValue(value);
  if (cut)
    out += "...";
}

template <typename Number>
void AppendNumber(std::string& out, std::string_view key, Number number) {
  std::array<char, 20> digits = {};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  ((out += ' ') += key) += '=';
  out.append(digits.data(), static_cast<std::size_t>(end.ptr - digits.data()));
}

// "2026-11-21T10:00:00.000Z"; the part up to the seconds is made once a second.
void AppendTime(std::string& out, WallTime time) {
  static thread_local std::int64_t cached_second = -1;
  static thread_local std::array<char, 24> cached = {};
  const std::int64_t millis = std::chrono::duration_cast<Millis>(time.time_since_epoch()).count();
  if (millis / 1000 != cached_second) {
    cached_second = millis / 1000;
    const std::time_t seconds = cached_second;
    std::tm parts = {};
    (void)::gmtime_r(&seconds, &parts);
    (void)std::strftime(cached.data(), cached.size(), "%Y-%m-%dT%H:%M:%S.", &parts);
  }
  const auto rest = static_cast<int>(millis % 1000);
  out += cached.data();
  out += static_cast<char>('0' + rest / 100);
  out += static_cast<char>('0' + rest / 10 % 10);
  out += static_cast<char>('0' + rest % 10);
  out += 'Z';
}

}  // namespace

void AppendAccessLine(const AccessRecord& record, std::string& out) {
  AppendTime(out, record.time);
  out += " access";
  AppendText(out, "app", record.app);
  AppendText(out, "release", record.release);
  AppendText(out, "method", record.method);
  AppendText(out, "target", record.target);
  AppendNumber(out, "status", record.status);
  AppendNumber(out, "bytes", record.bytes);
  AppendNumber(out, "queue_us", record.queued.count());
  AppendNumber(out, "worker_us", record.service.count());
  AppendNumber(out, "total_us", record.total.count());
  AppendText(out, "id", record.request_id);
  AppendText(out, "client_id", record.client_request_id);
  AppendText(out, "remote", record.remote_addr);
  out += '\n';
}

FileAccessLog::FileAccessLog(Loop& loop, UniqueFd file) : file_(std::move(file)), timer_(loop) {
  struct stat status = {};
  regular_ = ::fstat(file_.get(), &status) == 0 && S_ISREG(status.st_mode);
}

FileAccessLog::~FileAccessLog() {
  Flush();
}

void FileAccessLog::Write(const AccessRecord& record) {
  if (lines_.size() - written_ > kPendingMax) {
    ++dropped_;
    return;
  }
  if (dropped_ > dropped_reported_) {
    AppendTime(lines_, record.time);
    lines_ += " access_lines_dropped";
    AppendNumber(lines_, "count", dropped_ - dropped_reported_);
    lines_ += '\n';
    dropped_reported_ = dropped_;
  }
  AppendAccessLine(record, lines_);
  if (lines_.size() - written_ >= kFlushAt)
    Flush();
  else if (!timer_.active())
    timer_.Start(kFlushEvery, [this] { Flush(); });
}

bool FileAccessLog::IsWritable() const {
  pollfd waited = {.fd = file_.get(), .events = POLLOUT, .revents = 0};
  return regular_ || (::poll(&waited, 1, 0) > 0 && (waited.revents & POLLOUT) != 0);
}

void FileAccessLog::Flush() {
  while (written_ < lines_.size() && IsWritable()) {
    // A pipe that is writable takes PIPE_BUF bytes without blocking.
    const std::size_t rest = lines_.size() - written_;
    const ssize_t size = ::write(file_.get(), lines_.data() + written_,
                                 regular_ ? rest : std::min<std::size_t>(rest, PIPE_BUF));
    if (size < 0 && errno == EINTR)
      continue;
    if (size < 0)
      break;
    written_ += static_cast<std::size_t>(size);
  }
  if (written_ == lines_.size())
    lines_.clear();
  else
    lines_.erase(0, written_);
  written_ = 0;
  if (!lines_.empty())
    timer_.Start(kFlushEvery, [this] { Flush(); });
}

}  // namespace cloister
