#include "daemon/logs/log_record.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

LogEvent Full() {
  LogEvent event;
  event.sequence = 7;
  event.time = WallTime(Micros(1'700'000'000'123'456));
  event.release = "1.2.3";
  event.worker = {0x500000009};
  event.request_id = "01HZY";
  event.source = LogSource::kLogging;
  event.level = 30;
  event.cut = true;
  event.lost = 12;
  event.check = true;
  event.logger = "shop.orders";
  event.fields = std::string("\1\0a\2", 4);
  event.bytes = std::string("gr\xc3\xbc\0\xff\n", 7);
  return event;
}

TEST(LogRecordTest, EverythingComesBack) {
  std::string bytes;
  AppendLogRecord(bytes, Full());
  AppendLogRecord(bytes, LogEvent());
  std::string_view rest = bytes;
  const std::optional<LogEvent> event = TakeLogRecord(rest);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->sequence, 7U);
  EXPECT_EQ(event->time, Full().time);
  EXPECT_EQ(event->release, "1.2.3");
  EXPECT_EQ(event->worker.number, 0x500000009U);
  EXPECT_EQ(event->request_id, "01HZY");
  EXPECT_EQ(event->source, LogSource::kLogging);
  EXPECT_EQ(event->level, 30);
  EXPECT_TRUE(event->cut);
  EXPECT_EQ(event->lost, 12U);
  EXPECT_TRUE(event->check);
  EXPECT_EQ(event->logger, "shop.orders");
  EXPECT_EQ(event->fields, Full().fields);
  EXPECT_EQ(event->bytes, Full().bytes);
  ASSERT_TRUE(TakeLogRecord(rest));
  EXPECT_TRUE(rest.empty());
}

TEST(LogRecordTest, TheBytesOnDiskDoNotChange) {
  LogEvent event;
  event.sequence = 1;
  event.source = LogSource::kStderr;
  event.bytes = "hi";
  std::string bytes;
  AppendLogRecord(bytes, event);
  const std::string payload(
      "\x01\0\0\0\0\0\0\0"
      "\0\0\0\0\0\0\0\0"
      "\0\0\0\0\0\0\0\0"
      "\0\0\0\0\0\0\0\0"
      "\x01\0\0\0"
      "\0\0\0\0\0\0hi",
      44);
  EXPECT_EQ(bytes.substr(kLogRecordHeader), payload);
  EXPECT_EQ(bytes.substr(0, 4), std::string("\x2c\0\0\0", 4));
}

TEST(LogRecordTest, FieldsStandBeforeTheBytesWhereAFlagSaysSo) {
  LogEvent event;
  event.check = true;
  event.fields = std::string("\1\0a\2", 4);
  event.bytes = "hi";
  std::string bytes;
  AppendLogRecord(bytes, event);
  constexpr std::size_t kFlags = kLogRecordHeader + 4 * 8 + 2;
  EXPECT_EQ(bytes[kFlags], 6);
  EXPECT_TRUE(bytes.ends_with(std::string("\0\0\0\0\0\0\4\0\1\0a\2hi", 14)));
}

TEST(LogRecordTest, Crc32cKnownAnswers) {
  EXPECT_EQ(Crc32c(""), 0U);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAU);
}

TEST(LogRecordTest, NoCutAndNoFlippedByteIsTaken) {
  std::string bytes;
  AppendLogRecord(bytes, Full());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    std::string_view cut = std::string_view(bytes).substr(0, size);
    EXPECT_FALSE(TakeLogRecord(cut)) << size;
    EXPECT_EQ(cut.size(), size) << "nothing may be taken";
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    std::string_view rest = flipped;
    EXPECT_FALSE(SkipLogRecord(rest)) << i;
  }
}

TEST(LogRecordTest, LongPartsAreCut) {
  LogEvent event = Full();
  event.cut = false;
  event.bytes.assign(kLogEventMax + 1, 'x');
  event.logger.assign(5000, 'l');
  event.fields.assign(kEventFieldsBytesMax, 'f');
  std::string bytes;
  AppendLogRecord(bytes, event);
  EXPECT_LE(bytes.size(), kLogRecordMax + kLogRecordHeader);
  std::string_view rest = bytes;
  const std::optional<LogEvent> back = TakeLogRecord(rest);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->cut);
  EXPECT_EQ(back->bytes.size(), kLogEventMax);
  EXPECT_EQ(back->fields.size(), kEventFieldsBytesMax);
}

TEST(LogRecordTest, TooManyFieldsAreLeftOut) {
  LogEvent event = Full();
  event.fields.assign(kEventFieldsBytesMax + 1, 'f');
  std::string bytes;
  AppendLogRecord(bytes, event);
  std::string_view rest = bytes;
  const std::optional<LogEvent> back = TakeLogRecord(rest);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->fields, "");
  EXPECT_EQ(back->bytes, Full().bytes);
}

}  // namespace
}  // namespace cloister
