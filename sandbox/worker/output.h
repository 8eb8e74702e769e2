#pragma once

// What the app says: events on the channel, attributed to the request that runs.
//
// print() arrives in pieces ("a", " ", "b", "\n"); OutputBuffers joins them to lines. An event is
// bytes, exact and in order; it has left the process when a call returns, but for an unfinished
// line, which leaves before the response does.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "apis/wire/channel.h"
#include "sandbox/worker/channel.h"

namespace cloister {

struct LogText {
  LogSource source = LogSource::kRuntime;
  std::uint8_t level = 0;
  std::string_view logger;
  std::string_view bytes;
  std::string_view fields = {};  // as of apis/wire/event_fields.h; left out when there are too many
};

inline constexpr std::uint8_t kLevelWarning = 30;
inline constexpr std::uint8_t kLevelError = 40;

// The id of the request that this thread works for; 0: none.
std::uint32_t CurrentRequest();
void SetCurrentRequest(std::uint32_t id);

// Sends one event. A long one takes several frames, each with its head, all but the last
// kFrameMore.
void SendLog(WorkerChannel& channel, const LogText& text);

class OutputBuffers {
 public:
  // Appends; sends the lines that are whole. Very much at once becomes several events.
  void Write(WorkerChannel& channel, LogSource source, std::string_view bytes);
  // Sends unfinished lines.
  void Flush(WorkerChannel& channel);
  // Drops what a fork copied.
  void Clear();

 private:
  void WritePart(WorkerChannel& channel, LogSource source, std::string_view bytes);

  std::array<std::string, 2> pending_;  // stdout, stderr
};

// What the runtime refused, by name; sent as kRefused before a response and before the end.
class RefusedCalls {
 public:
  void Count(std::string_view name);
  void Flush(WorkerChannel& channel);

 private:
  std::map<std::string, std::uint32_t, std::less<>> counts_;
};

}  // namespace cloister
