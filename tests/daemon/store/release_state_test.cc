#include "daemon/store/release_state.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace cloister {
namespace {

using enum ReleaseState;

// The design's picture, written down a second time.
const std::set<std::pair<ReleaseState, ReleaseState>> kAllowed = {
    {kReceived, kVerified}, {kVerified, kCompiled}, {kCompiled, kBooted},   {kBooted, kChecked},
    {kChecked, kLive},      {kChecked, kCanary},    {kChecked, kKept},      {kCanary, kLive},
    {kCanary, kDraining},   {kLive, kDraining},     {kDraining, kKept},     {kDraining, kLive},
    {kKept, kLive},         {kReceived, kRejected}, {kVerified, kRejected}, {kCompiled, kRejected},
    {kBooted, kRejected},   {kChecked, kRejected},
};

TEST(ReleaseStateTest, EveryPairIsAsTheDesignSays) {
  for (std::size_t from = 0; from < kReleaseStates; ++from) {
    ASSERT_EQ(kReleaseTransitions[from].size(), kReleaseStates);
    for (std::size_t to = 0; to < kReleaseStates; ++to) {
      const std::pair pair(static_cast<ReleaseState>(from), static_cast<ReleaseState>(to));
      EXPECT_EQ(MayMove(pair.first, pair.second), kAllowed.contains(pair))
          << kReleaseStateNames[from] << " -> " << kReleaseStateNames[to];
    }
  }
}

TEST(ReleaseStateTest, NamesReadBack) {
  for (std::size_t i = 0; i < kReleaseStates; ++i)
    EXPECT_EQ(ReleaseStateOf(kReleaseStateNames[i]), static_cast<ReleaseState>(i));
  EXPECT_EQ(ReleaseStateOf("lively"), std::nullopt);
}

TEST(ReleaseStateTest, WhatCanBeRejectedIsUnfinishedAndNothingElse) {
  for (std::size_t i = 0; i < kReleaseStates; ++i) {
    const auto state = static_cast<ReleaseState>(i);
    EXPECT_EQ(IsUnfinished(state), MayMove(state, kRejected)) << kReleaseStateNames[i];
  }
}

}  // namespace
}  // namespace cloister
