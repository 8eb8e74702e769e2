#include "daemon/store/cache_generations.h"

#include <gtest/gtest.h>

#include "apis/cache/layout.h"
#include "daemon/store/accounts.h"
#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

using CacheGenerationsTest = StoreTest;

TEST_F(CacheGenerationsTest, AnAppBeginsWithTheFirstAndOnlyRises) {
  EXPECT_EQ(Must(ReadCacheGeneration(db_, app_.id)).number, 1U);
  Must(RaiseCacheGeneration(db_, app_.id, 5));
  Must(RaiseCacheGeneration(db_, app_.id, 3));
  EXPECT_EQ(Must(ReadCacheGeneration(db_, app_.id)).number, 5U);
}

TEST_F(CacheGenerationsTest, EveryStateHasASpaceOfItsOwn) {
  const std::string space = Must(ReadCacheGeneration(db_, AppId{1})).space;
  EXPECT_TRUE(IsCacheSpace(space)) << space;
  const TempDir other;
  Database second = OpenState(other.At("state.db"));
  EXPECT_NE(Must(ReadCacheGeneration(second, AppId{1})).space, space);
}

TEST_F(CacheGenerationsTest, OfAnAppThatIsGoneNothingIsKept) {
  Must(RaiseCacheGeneration(db_, app_.id, 5));
  Must(DeleteApp(db_, app_, At(1)));
  Must(RaiseCacheGeneration(db_, app_.id, 6));
  EXPECT_EQ(Count(db_, "cache_generations"), 0);
}

}  // namespace
}  // namespace cloister
