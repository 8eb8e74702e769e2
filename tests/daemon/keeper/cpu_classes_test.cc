#include "daemon/keeper/cpu_classes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Micros kWindow{1000000};

// "name+" goes to the background, "name-" comes back.
std::vector<std::string> Words(const std::vector<CpuClasses::Change>& changes) {
  std::vector<std::string> words;
  words.reserve(changes.size());
  for (const CpuClasses::Change& change : changes)
    words.push_back(change.group + (change.background ? "+" : "-"));
  return words;
}

class CpuClassesTest : public ::testing::Test {
 protected:
  // Percent of one CPU that each used within the next window.
  std::vector<std::string> Window(const std::map<std::string, int>& percent) {
    CpuClasses::Used used;
    for (const auto& [name, part] : percent)
      used[name] = totals_[name] += kWindow * part / 100;
    return Words(classes_.Update(kWindow, used));
  }

  CpuClasses classes_{2};
  std::map<std::string, Micros> totals_;
};

TEST_F(CpuClassesTest, WhoUsesMoreThanHalfOfAShareGivesWayUntilItIsCalm) {
  EXPECT_THAT(Window({{"a", 0}, {"b", 0}}), IsEmpty());
  // Two share two CPUs, and a third may come: a share is 67, half of it 33.
  EXPECT_THAT(Window({{"a", 100}, {"b", 20}}), ElementsAre("a+"));
  EXPECT_THAT(Window({{"a", 100}, {"b", 33}}), IsEmpty());
  EXPECT_THAT(Window({{"a", 30}, {"b", 34}}), ElementsAre("a-", "b+"));
  EXPECT_THAT(Window({{"a", 0}, {"b", 0}}), ElementsAre("b-"));
}

TEST_F(CpuClassesTest, ItComesBackWhenItHasBeenCalmForASecond) {
  (void)classes_.Update(Millis(100), {{"a", Micros{0}}});
  Micros used = Millis(90);
  EXPECT_THAT(Words(classes_.Update(Millis(100), {{"a", used}})), ElementsAre("a+"));
  const auto calm_windows = [&](int count) {
    for (int i = 0; i < count; ++i)
      EXPECT_THAT(classes_.Update(Millis(100), {{"a", used}}), IsEmpty()) << i;
  };
  calm_windows(9);
  used += Millis(90);
  EXPECT_THAT(classes_.Update(Millis(100), {{"a", used}}), IsEmpty());
  calm_windows(9);
  EXPECT_THAT(Words(classes_.Update(Millis(100), {{"a", used}})), ElementsAre("a-"));
}

TEST_F(CpuClassesTest, OneAloneGivesWayToWhoeverComes) {
  (void)Window({{"a", 0}});
  EXPECT_THAT(Window({{"a", 51}}), ElementsAre("a+"));
  EXPECT_THAT(Window({{"a", 50}}), ElementsAre("a-"));
}

TEST_F(CpuClassesTest, WhoHardlyComputesIsNotCounted) {
  (void)Window({{"a", 0}, {"b", 0}, {"c", 0}});
  // As if a were alone: half of a share is 50.
  EXPECT_THAT(Window({{"a", 45}, {"b", 0}, {"c", 0}}), IsEmpty());
}

TEST_F(CpuClassesTest, WhenAllComputeAllAreAlike) {
  (void)Window({{"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}});
  EXPECT_THAT(Window({{"a", 50}, {"b", 50}, {"c", 50}, {"d", 50}}),
              ElementsAre("a+", "b+", "c+", "d+"));
}

TEST_F(CpuClassesTest, WhatAGroupUsedBeforeItIsKnownDoesNotCount) {
  totals_["a"] = kWindow * 50;
  EXPECT_THAT(Window({{"a", 100}}), IsEmpty());
  EXPECT_THAT(Window({{"a", 100}}), ElementsAre("a+"));
  // Gone and made anew: nothing is left of it.
  EXPECT_THAT(Window({}), IsEmpty());
  EXPECT_THAT(Window({{"a", 100}}), IsEmpty());
}

TEST_F(CpuClassesTest, ALowerSumThanBeforeIsNothingUsed) {
  (void)Window({{"a", 0}});
  (void)Window({{"a", 100}});
  totals_["a"] = Micros{0};
  EXPECT_THAT(Window({{"a", 10}}), ElementsAre("a-"));
}

TEST(UsableCpusTest, ThereIsOne) {
  EXPECT_GE(UsableCpus(), 1U);
}

}  // namespace
}  // namespace cloister
