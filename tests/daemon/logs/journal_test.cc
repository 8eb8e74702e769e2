#include "daemon/logs/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cloister {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

TEST(JournalEntryTest, HasTheEventByteForByteAndWhoseItIs) {
  LogEvent event;
  event.sequence = 12;
  event.app = {3};
  event.app_name = "demo/hello";
  event.release = "1.2.0";
  event.request_id = "01ID";
  event.level = 30;
  event.logger = "shop.cart";
  event.check = true;
  event.bytes = std::string("two\nlines\0\xff\n", 12);
  EXPECT_THAT(
      JournalEntry(event),
      ElementsAre("MESSAGE=" + event.bytes, "PRIORITY=4", "SYSLOG_IDENTIFIER=cloister-app",
                  "CLOISTER_SEQUENCE=12", "CLOISTER_APP=demo/hello", "CLOISTER_RELEASE=1.2.0",
                  "CLOISTER_REQUEST=01ID", "CLOISTER_LOGGER=shop.cart", "CLOISTER_CHECK=1"));
}

TEST(JournalEntryTest, WhatAnEventHasNotIsNoField) {
  LogEvent event;
  event.sequence = 1;
  EXPECT_THAT(JournalEntry(event),
              ElementsAre("MESSAGE=", "PRIORITY=6", "SYSLOG_IDENTIFIER=cloister-app",
                          "CLOISTER_SEQUENCE=1"));
}

TEST(JournalEntryTest, LevelsArePriorities) {
  const std::pair<int, const char*> rows[] = {
      {0, "PRIORITY=6"},  {9, "PRIORITY=6"},  {10, "PRIORITY=7"},
      {19, "PRIORITY=7"}, {20, "PRIORITY=6"}, {30, "PRIORITY=4"},
      {40, "PRIORITY=3"}, {50, "PRIORITY=2"}, {255, "PRIORITY=2"}};
  for (const auto& [level, priority] : rows) {
    LogEvent event;
    event.level = static_cast<std::uint8_t>(level);
    EXPECT_THAT(JournalEntry(event), Contains(priority)) << level;
  }
}

}  // namespace
}  // namespace cloister
