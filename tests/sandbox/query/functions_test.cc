#include "sandbox/query/functions.h"

#include <gtest/gtest.h>

#include "tests/sandbox/query/query_fixture.h"

namespace cloister {
namespace {

class FunctionsTest : public QueryFixture {};

// What Django 3.2 answers, by its own functions on Python's sqlite3.
TEST_F(FunctionsTest, TheyAnswerAsDjangos) {
  const std::pair<const char*, const char*> answers[] = {
      {"django_date_extract('year', '2024-02-29')", "2024"},
      {"django_date_extract('week_day', '2024-02-29')", "5"},
      {"django_date_extract('iso_week_day', '2024-02-29')", "4"},
      {"django_date_extract('week', '2021-01-03')", "53"},
      {"django_date_extract('iso_year', '2021-01-03')", "2020"},
      {"django_date_extract('quarter', '2024-05-01')", "2"},
      {"django_date_extract('month', 'no date')", "NULL"},
      {"django_date_extract('month', '2023-02-29')", "NULL"},
      {"django_date_extract('month', '2024-257-05')", "NULL"},
      {"django_date_extract('month', '2024-12-261')", "NULL"},
      {"django_date_extract('month', NULL)", "NULL"},
      {"django_date_trunc('week', '2024-02-29', NULL, NULL)", "2024-02-26"},
      {"django_date_trunc('quarter', '2024-05-31', NULL, NULL)", "2024-04-01"},
      {"django_datetime_trunc('hour', '2024-02-29 23:59:58.5', 'UTC', 'UTC')",
       "2024-02-29 23:00:00"},
      {"django_datetime_trunc('day', '2024-02-29 23:30:00', 'UTC+01:00', 'UTC')",
       "2024-03-01 00:00:00"},
      {"django_datetime_trunc('month', '2024-03-01 00:30:00', 'UTC-01:00', 'UTC')",
       "2024-02-01 00:00:00"},
      {"django_datetime_extract('second', '2024-02-29 23:59:58', NULL, NULL)", "58"},
      {"django_datetime_cast_date('2024-02-29 23:59:58', NULL, NULL)", "2024-02-29"},
      {"django_datetime_cast_time('2024-02-29 23:59:58.000250', NULL, NULL)", "23:59:58.000250"},
      {"django_time_extract('minute', '12:34:56')", "34"},
      {"django_time_trunc('minute', '12:34:56', NULL, NULL)", "12:34:00"},
      {"django_time_diff('12:00:00', '11:59:59.5')", "500000"},
      {"django_timestamp_diff('2024-03-01', '2024-02-29')", "86400000000"},
      {"django_format_dtdelta('+', '2024-02-28 12:00:00', 86400000000)", "2024-02-29 12:00:00"},
      {"django_format_dtdelta('-', '2024-03-01', 1)", "2024-02-29 23:59:59.999999"},
      {"django_format_dtdelta('+', 90000000000, 1)", "1 day, 1:00:00.000001"},
      {"django_format_dtdelta('-', 0, 1)", "-1 day, 23:59:59.999999"},
      {"LPAD('ä', 3, 'xy')", "xyä"},
      {"LPAD('abc', 2, 'x')", "ab"},
      {"RPAD('a', 4, 'xy')", "axyx"},
      {"REPEAT('ab', 3)", "ababab"},
      {"REVERSE('aäb€')", "€bäa"},
      {"MD5('a')", "0cc175b9c0f1b6a831c399e269772661"},
      {"SHA1('a')", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"},
      {"BITXOR(6, 3)", "5"},
      {"round(COT(1), 6)", "0.642093"},
      {"RAND() BETWEEN 0 AND 1", "1"},
      {"LOG(2, 8)", "3.000000"},
      {"'abc' REGEXP '^a.c$'", "1"},
      {"'abc' REGEXP 'b$'", "0"},
      {"'ABC' REGEXP '(?i)b'", "1"},
      {"'ä1' REGEXP '^\\w\\d$'", "1"},
      {"NULL REGEXP 'a'", "NULL"},
  };
  for (const auto& [call, answer] : answers)
    EXPECT_EQ(answer, Value(std::string("SELECT ") + call)) << call;
}

TEST_F(FunctionsTest, StatisticsAreThoseOfPython) {
  const std::pair<const char*, const char*> answers[] = {{"STDDEV_POP", "1.118034"},
                                                         {"STDDEV_SAMP", "1.290994"},
                                                         {"VAR_POP", "1.250000"},
                                                         {"VAR_SAMP", "1.666667"}};
  for (const auto& [name, answer] : answers) {
    const std::string from = "SELECT " + std::string(name) + "(column1) FROM (VALUES ";
    EXPECT_EQ(answer, Value(from + "(1), (2), (NULL), (3), (4))")) << name;
    EXPECT_EQ("NULL", Value(from + "(NULL))")) << name;
  }
}

TEST_F(FunctionsTest, WhatIsTooMuchIsRefused) {
  EXPECT_EQ("sql_error", Code("SELECT 'x' REGEXP '('"));
  EXPECT_EQ("sql_error", Code("SELECT printf('%.*c', 30, 'a') || 'b' REGEXP '(a+)+$'"));
  EXPECT_EQ("sql_error", Code("SELECT 'x' REGEXP printf('%.*c', 6000, 'x')"));
  EXPECT_EQ("sql_error", Code("SELECT REPEAT('x', 1000000000)"));
  EXPECT_EQ("sql_error", Code("SELECT LPAD('x', 1000000000, 'y')"));
  // A character may have any number of bytes in what is no UTF-8.
  EXPECT_EQ("sql_error",
            Code("SELECT LPAD('', 1000, CAST(replace(hex(zeroblob(500000)), '00', x'80') AS TEXT) "
                 "|| 'a')"));
  EXPECT_EQ("sql_error",
            Code("SELECT django_date_trunc('day', '2024-01-01', 'Europe/Paris', 'UTC')"));
}

}  // namespace
}  // namespace cloister
