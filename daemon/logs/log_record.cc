#include "daemon/logs/log_record.h"

#include <array>

#include "apis/wire/codec.h"

namespace cloister {
namespace {

constexpr std::uint8_t kFlagCut = 1;
constexpr std::uint8_t kFlagCheck = 2;
constexpr std::uint8_t kFlagFields = 4;
constexpr std::uint8_t kFlagRedacted = 8;
// Sequence, time, lost, worker, four small ones and three empty names.
constexpr std::size_t kLeastPayload = 4 * 8 + 4 + 3 * 2;

using CrcTable = std::array<std::array<std::uint32_t, 256>, 8>;

// Eight tables, so that eight bytes are taken at once (a segment is checked when it is opened).
constexpr CrcTable MakeCrcTable() {
  CrcTable table = {};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
    table[0][i] = crc;
  }
  for (std::uint32_t i = 0; i < 256; ++i)
    for (std::size_t slice = 1; slice < 8; ++slice)
      table[slice][i] = (table[slice - 1][i] >> 8) ^ table[0][table[slice - 1][i] & 0xff];
  return table;
}

constexpr CrcTable kCrc = MakeCrcTable();

// The payload of the first record, when it is whole and unharmed.
std::optional<std::string_view> TakePayload(std::string_view& bytes) {
  WireReader header(bytes.substr(0, kLogRecordHeader));
  const std::uint32_t length = header.U32();
  const std::uint32_t crc = header.U32();
  if (!header.ok() || length < kLeastPayload || length > kLogRecordMax ||
      length > bytes.size() - kLogRecordHeader)
    return std::nullopt;
  const std::string_view payload = bytes.substr(kLogRecordHeader, length);
  if (Crc32c(payload) != crc)
    return std::nullopt;
  bytes.remove_prefix(kLogRecordHeader + length);
  return payload;
}

bool HasFields(const LogEvent& event) {
  return !event.fields.empty() && event.fields.size() <= kEventFieldsBytesMax;
}

std::uint8_t FlagsOf(const LogEvent& event) {
  const bool cut = event.cut || event.bytes.size() > kLogEventMax;
  const unsigned flags = (cut ? kFlagCut : 0U) | (event.check ? kFlagCheck : 0U) |
                         (HasFields(event) ? kFlagFields : 0U) |
                         (event.redacted ? kFlagRedacted : 0U);
  return static_cast<std::uint8_t>(flags);
}

}  // namespace

std::uint32_t Crc32c(std::string_view bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  while (bytes.size() >= 8) {
    WireReader eight(bytes.substr(0, 8));
    const std::uint32_t low = eight.U32() ^ crc;
    const std::uint32_t high = eight.U32();
    crc = kCrc[7][low & 0xff] ^ kCrc[6][low >> 8 & 0xff] ^ kCrc[5][low >> 16 & 0xff] ^
          kCrc[4][low >> 24] ^ kCrc[3][high & 0xff] ^ kCrc[2][high >> 8 & 0xff] ^
          kCrc[1][high >> 16 & 0xff] ^ kCrc[0][high >> 24];
    bytes.remove_prefix(8);
  }
  for (const char byte : bytes)
    crc = (crc >> 8) ^ kCrc[0][(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

void AppendLogRecord(std::string& out, const LogEvent& event) {
  const std::size_t begin = out.size();
  WireWriter writer(out);
  writer.U64(0);  // length and CRC, below
  writer.U64(event.sequence);
  writer.U64(static_cast<std::uint64_t>(event.time.time_since_epoch().count()));
  writer.U64(event.lost);
  writer.U64(event.worker.number);
  writer.U8(static_cast<std::uint8_t>(event.source));
  writer.U8(event.level);
  writer.U8(FlagsOf(event));
  writer.U8(0);
  for (const std::string* name : {&event.release, &event.request_id, &event.logger})
    writer.Str16(std::string_view(*name).substr(0, kLogNameMax));
  if (HasFields(event))
    writer.Str16(event.fields);
  writer.Raw(std::string_view(event.bytes).substr(0, kLogEventMax));
  const std::string_view payload = std::string_view(out).substr(begin + kLogRecordHeader);
  std::string header;
  WireWriter header_writer(header);
  header_writer.U32(static_cast<std::uint32_t>(payload.size()));
  header_writer.U32(Crc32c(payload));
  out.replace(begin, kLogRecordHeader, header);
}

std::optional<LogEvent> TakeLogRecord(std::string_view& bytes) {
  const std::optional<std::string_view> payload = TakePayload(bytes);
  if (!payload)
    return std::nullopt;
  WireReader in(*payload);
  LogEvent event;
  event.sequence = in.U64();
  event.time = WallTime(Micros(static_cast<std::int64_t>(in.U64())));
  event.lost = in.U64();
  event.worker = {in.U64()};
  event.source = static_cast<LogSource>(in.U8());
  event.level = in.U8();
  const std::uint8_t flags = in.U8();
  event.cut = (flags & kFlagCut) != 0;
  event.check = (flags & kFlagCheck) != 0;
  event.redacted = (flags & kFlagRedacted) != 0;
  in.U8();
  event.release = in.Str16();
  event.request_id = in.Str16();
  event.logger = in.Str16();
  if ((flags & kFlagFields) != 0)
    event.fields = in.Str16();
  event.bytes = in.Rest();
  return event;
}

std::optional<std::uint64_t> SkipLogRecord(std::string_view& bytes) {
  const std::optional<std::string_view> payload = TakePayload(bytes);
  if (!payload)
    return std::nullopt;
  return WireReader(*payload).U64();
}

}  // namespace cloister
