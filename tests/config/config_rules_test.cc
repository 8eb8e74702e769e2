#include "config/config_rules.h"

#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

TEST(ConfigRulesTest, NamesAreThoseOfEnvironmentVariables) {
  for (const std::string& good :
       {std::string("A"), std::string("_x"), std::string("DATABASE_URL"), std::string("a1_B2"),
        std::string("PATHS"), std::string("LC"), std::string(128, 'a')})
    EXPECT_TRUE(CheckConfigName(good).ok()) << good;
  for (const std::string& bad :
       {std::string(), std::string("1A"), std::string("A-B"), std::string("A B"), std::string("A="),
        std::string("\xc3\xa4"), std::string("A\0B", 3), std::string(129, 'a')})
    EXPECT_FALSE(CheckConfigName(bad).ok()) << bad;
}

TEST(ConfigRulesTest, WhatAWorkerReadsItselfIsNotAKey) {
  for (const char* bad : {"PATH", "HOME", "TZ", "LANG", "LANGUAGE", "LC_ALL", "LD_PRELOAD",
                          "PYTHONPATH", "PYTHON", "CLOISTER_X"})
    EXPECT_FALSE(CheckConfigName(bad).ok()) << bad;
}

TEST(ConfigRulesTest, ValuesAreTextWithoutNul) {
  for (const char* good : {"", "x", "two\nlines", "\xc3\xa4", "\x01"})
    EXPECT_TRUE(CheckConfigValue(good).ok()) << good;
  for (const std::string& bad : {std::string("\xff"), std::string("a\0b", 3), std::string("\xc3")})
    EXPECT_FALSE(CheckConfigValue(bad).ok()) << bad;
}

}  // namespace
}  // namespace cloister
