// A release that is only checked: its writes are its own, and vanish.

#include "apis/cache/overlay.h"

#include <gtest/gtest.h>

#include "tests/apis/cache/cache_fixture.h"

namespace cloister {
namespace {

using OptString = std::optional<std::string>;

class CacheOverlayTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(node.IsUp()); }

  RedisServer server;
  CacheNode node{server.socket()};
  CallOrigin check = node.Origin(1, 77);
};

TEST_F(CacheOverlayTest, WritesAreReadOnlyThereAndVanish) {
  node.Set("a", "real");
  node.Set("n", "41");
  EXPECT_EQ(node.Get("a", check), OptString("real"));
  EXPECT_TRUE(node.Set("a", "checked", check));
  EXPECT_TRUE(node.Set("b", "checked", check, 0, CacheSetMode::kAdd));
  EXPECT_EQ(node.Incr("n", 1, {}, check), 42);
  EXPECT_EQ(node.Get("a", check), OptString("checked"));
  EXPECT_EQ(node.Get("b", check), OptString("checked"));
  EXPECT_TRUE(node.Delete("a", check));
  EXPECT_FALSE(node.Delete("a", check));
  EXPECT_EQ(node.Get("a", check), std::nullopt);
  const auto many = node.Take<CacheGetMultiResult>(
      node.Begin(check, CacheGetMulti{.keys = {"a", "b", "n", "none"}}));
  EXPECT_EQ(many.values, (std::vector<std::optional<std::string_view>>{std::nullopt, "checked",
                                                                       "42", std::nullopt}));
  EXPECT_EQ(node.Get("a"), OptString("real"));
  EXPECT_EQ(node.Get("b"), std::nullopt);
  EXPECT_EQ(node.Get("n"), OptString("41"));
  EXPECT_EQ(node.Get("a", node.Origin(1, 78)), OptString("real")) << "another check";
  node.service.OnOverlayEnded(77);
  EXPECT_EQ(node.Get("a"), OptString("real"));
}

TEST_F(CacheOverlayTest, ConditionsSeeBothLayers) {
  node.Set("a", "real");
  EXPECT_FALSE(node.Set("a", "x", check, 0, CacheSetMode::kAdd));
  EXPECT_TRUE(node.Set("a", "x", check, 0, CacheSetMode::kReplace));
  EXPECT_FALSE(node.Set("none", "x", check, 0, CacheSetMode::kReplace));
  const auto gets = node.Take<CacheGetsResult>(node.Begin(check, CacheGets{.key = "a"}));
  EXPECT_EQ(gets.value, std::optional<std::string_view>("x"));
  EXPECT_EQ(node.Cas("a", "y", "no token", check), CacheCasOutcome::kChanged);
  EXPECT_EQ(node.Cas("a", "y", gets.token, check), CacheCasOutcome::kStored);
  EXPECT_EQ(node.Cas("none", "y", gets.token, check), CacheCasOutcome::kMissing);
  EXPECT_EQ(node.Get("a", check), OptString("y"));
}

TEST_F(CacheOverlayTest, ClearHidesWhatIsBelow) {
  node.Set("a", "real");
  EXPECT_TRUE(node.Clear(check));
  EXPECT_EQ(node.Get("a", check), std::nullopt);
  EXPECT_TRUE(node.Set("b", "x", check));
  EXPECT_EQ(node.Get("b", check), OptString("x"));
  EXPECT_EQ(node.Get("a"), OptString("real"));
  EXPECT_EQ(node.generations.stores, 0);
}

TEST_F(CacheOverlayTest, WithoutAServerTheOverlayStillHolds) {
  server.Kill();
  ASSERT_TRUE(node.IsDown());
  EXPECT_TRUE(node.Set("a", "x", check));
  EXPECT_EQ(node.Get("a", check), OptString("x"));
  EXPECT_EQ(node.Get("b", check), std::nullopt);
  EXPECT_EQ(node.generations.stores, 0) << "nothing real was lost";
}

TEST_F(CacheOverlayTest, ACallThatOutlivesItsOverlayTouchesNothingReal) {
  node.Set("a", "real");
  server.Stop();
  const CallId set =
      node.Begin(check, CacheSet{.mode = static_cast<std::uint8_t>(CacheSetMode::kReplace),
                                 .key = "a",
                                 .value = "x"});
  node.service.OnOverlayEnded(77);
  server.Continue();
  ASSERT_TRUE(node.Await(set));
  EXPECT_EQ(node.Get("a"), OptString("real"));
}

TEST(CacheOverlayLayerTest, TimesEndAndNumbersAreStrict) {
  CacheOverlay layer;
  const MonotonicTime now{Seconds(5)};
  const Bytes most = KiB(64);
  CacheWrite set{.key = "a", .value = "1", .token = {}, .ttl_ms = 1000, .initial = {}};
  EXPECT_EQ(layer.Apply(set, {}, now, most).status, CacheStatus::kYes);
  EXPECT_EQ(layer.Find("a", now + Millis(999)).where, CacheOverlay::Where::kHere);
  EXPECT_EQ(layer.Find("a", now + Millis(1000)).where, CacheOverlay::Where::kGone);
  CacheWrite incr{.operation = CacheOperation::kIncr,
                  .key = "a",
                  .value = {},
                  .token = {},
                  .delta = 1,
                  .initial = {}};
  EXPECT_EQ(layer.Apply(incr, {}, now, most).number, 2);
  EXPECT_EQ(layer.Find("a", now + Millis(1000)).where, CacheOverlay::Where::kGone)
      << "an incr keeps the time";
  incr.key = "b";
  EXPECT_EQ(layer.Apply(incr, {}, now, most).number, std::nullopt);
  for (const char* text : {"007", "+1", "1 ", "", "-0", "9223372036854775807", "x"}) {
    EXPECT_EQ(layer.Apply(incr, text, now, most).number, std::nullopt) << text;
    EXPECT_EQ(layer.Find("b", now).where, CacheOverlay::Where::kBelow);
  }
  CacheWrite touch{.operation = CacheOperation::kTouch,
                   .key = "c",
                   .value = {},
                   .token = {},
                   .ttl_ms = 10,
                   .initial = {}};
  EXPECT_EQ(layer.Apply(touch, {}, now, most).status, CacheStatus::kNo);
  EXPECT_EQ(layer.Apply(touch, "v", now, most).status, CacheStatus::kYes);
  EXPECT_EQ(layer.Find("c", now + Millis(10)).where, CacheOverlay::Where::kGone);
}

TEST(CacheOverlayLayerTest, WhatDoesNotFitReadsAsGone) {
  CacheOverlay layer;
  const MonotonicTime now{Seconds(5)};
  const std::string value(1000, 'v');
  CacheWrite set{.key = "a", .value = value, .token = {}, .initial = {}};
  EXPECT_EQ(layer.Apply(set, {}, now, Bytes{1500}).status, CacheStatus::kYes);
  set.key = "b";
  EXPECT_EQ(layer.Apply(set, {}, now, Bytes{1500}).status, CacheStatus::kNoMemory);
  EXPECT_EQ(layer.Find("b", now).where, CacheOverlay::Where::kGone);
  EXPECT_EQ(layer.Find("a", now).where, CacheOverlay::Where::kHere);
  EXPECT_LE(layer.used(), Bytes{1500});
  // Without room for another key at all everything is gone, also what is below.
  bool cleared = false;
  for (const char* key : {"c", "d", "e", "f"}) {
    set.key = key;
    if (cleared)
      break;
    EXPECT_EQ(layer.Apply(set, {}, now, Bytes{1500}).status, CacheStatus::kNoMemory);
    cleared = cleared || layer.used() == Bytes{};
  }
  EXPECT_TRUE(cleared);
  EXPECT_LE(layer.used(), Bytes{1500});
  EXPECT_EQ(layer.Find("never seen", now).where, CacheOverlay::Where::kGone);
}

}  // namespace
}  // namespace cloister
