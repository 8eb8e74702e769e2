#pragma once

// How an event lies in a segment of an app's log.
//
//   u32 length of what follows after the CRC | u32 CRC-32C of it |
//   u64 sequence | i64 time (µs since 1970 UTC) | u64 lost | u64 worker | u8 source | u8 level |
//   u8 flags (1: cut, 2: check, 4: fields, 8: redacted) | u8 zero | str16 release | str16 request
//   id | str16 logger | str16 fields, where the flag says so | bytes
//
// Little-endian; fields as of apis/wire/event_fields.h. On disk: numbers and meanings do not
// change. A record that was not written whole fails its CRC, and the segment ends before it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/wire/event_fields.h"
#include "daemon/logs/log_event.h"

namespace cloister {

// The largest record: an event of kLogEventMax with its names and fields.
inline constexpr std::size_t kLogRecordMax = kLogEventMax + kEventFieldsBytesMax + 4096;
inline constexpr std::size_t kLogRecordHeader = 8;

// Appends the record; the event's names are cut at kLogNameMax each, its bytes at kLogEventMax.
// Fields above kEventFieldsBytesMax are left out.
void AppendLogRecord(std::string& out, const LogEvent& event);

// Takes a record off the front of `bytes`. Empty, and nothing taken, when there is no whole one.
std::optional<LogEvent> TakeLogRecord(std::string_view& bytes);

// The same without decoding more than the number; what a scan needs.
std::optional<std::uint64_t> SkipLogRecord(std::string_view& bytes);

// CRC-32C (Castagnoli).
std::uint32_t Crc32c(std::string_view bytes);

}  // namespace cloister
